"""The tables, the engine and the migrations. It knows no rule of the domain."""
