"""The phrases with which people answer an agenda, in English, German, Spanish and French, and what each means.

A phrase is known as a whole or not at all. What has an argument (a day, a place, an order) is not read here.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Literal

from tidings.mailer.plain_lines import fold

Coming = Literal["yes", "no", "maybe"]
Offer = Literal["lead", "host", "scribe"]
Phrased = Literal[Coming, "second", Offer, "swap", "withdraw", "done", "drop", "cancel", "restore"]
# Besides: why somebody does not come, and what is only polite.
Meaning = Literal[Phrased, "away", "nothing"]

# A language to a paragraph.
_PHRASES: Mapping[Meaning, str] = {
    "yes": """
        yes; yep; yeah; yup; sure; of course; certainly; definitely; absolutely; accept; accepted; i accept;
        attending; coming; i'll be there; i will be there; will be there; i am coming; i'm coming; i'll come;
        i will come; will come; i can come; i am in; i'm in; count me in; i can; i can make it; can make it;
        i'll make it; i'll attend; i will attend; will attend; i am attending; i'm attending; i'll join; i will join;
        i'll join you; i'm joining; see you; see you there; see you then; i am on shift then; happy to come; gladly;
        with pleasure; i'd love to; looking forward; looking forward to it; i do
        ja; jawohl; jap; klar; ja klar; na klar; sicher; natürlich; gern; gerne; sehr gern; sehr gerne; zusage;
        ich sage zu; zugesagt; ich komme; komme; komme gern; komme gerne; ich komme gern; ich komme gerne;
        ich bin dabei; bin dabei; dabei; ich bin da; bin da; ich nehme teil; nehme teil; ich nehme gern teil;
        ich werde da sein; werde da sein; ich kann; kann; ich kann kommen; bis dann; bis bald; passt; das passt;
        freue mich; ich freue mich
        sí; si; claro; claro que sí; por supuesto; desde luego; acepto; confirmo; confirmado; voy; iré; allí estaré;
        ahí estaré; estaré; estaré allí; estaré ahí; yo estaré; asistiré; asisto; participo; participaré;
        cuenta conmigo; cuenten conmigo; contad conmigo; me apunto; puedo; puedo ir; puedo asistir; podré ir;
        sí que puedo; con gusto; con mucho gusto; nos vemos; hasta entonces
        oui; ouais; bien sûr; certainement; j'accepte; accepté; je viens; je viendrai; je serai là; j'y serai;
        j'y vais; je serai présent; je serai présente; présent; présente; je participe; je participerai; j'assisterai;
        j'en suis; comptez sur moi; compte sur moi; je peux; je peux venir; je pourrai venir; avec plaisir;
        volontiers; je confirme; à bientôt; je suis là
    """,
    "no": """
        no; nope; nah; not coming; i'm not coming; i am not coming; i can't; can't; i cannot; cannot; i can't come;
        can't come; i cannot come; cannot come; i can't make it; can't make it; i cannot make it; cannot make it;
        won't make it; i won't make it; i can't be there; can't be there; i cannot be there; i can't attend;
        can't attend; i cannot attend; cannot attend; unable to attend; unable to come; i am unable to attend;
        i won't be there; won't be there; i will not be there; i won't come; i will not come; i won't attend;
        will not attend; i can't join; can't join; i cannot join; won't join; not this time; not this week; not me;
        without me; regrets; decline; declined; i decline; unfortunately not; unfortunately no; i'm out; i am out;
        count me out; i have to pass; i don't
        nein; nee; nö; leider nein; leider nicht; ich kann nicht; kann nicht; ich kann leider nicht;
        kann leider nicht; leider kann ich nicht; ich kann nicht kommen; kann nicht kommen; ich komme nicht;
        komme nicht; ich bin nicht da; bin nicht da; ich bin nicht dabei; bin nicht dabei; nicht dabei;
        ich nehme nicht teil; nehme nicht teil; absage; ich sage ab; ich muss absagen; muss absagen;
        muss leider absagen; ich muss leider absagen; ohne mich; diesmal nicht; diesmal leider nicht;
        ich schaffe es nicht; schaffe es nicht; ich schaffe es leider nicht; passt nicht; passt mir nicht
        no puedo; yo no puedo; no puedo ir; no puedo asistir; no podré; no podré ir; no podré asistir; no voy; no iré;
        no estaré; no asistiré; no asisto; no participo; esta vez no; por desgracia no; lamentablemente no; sin mí;
        conmigo no
        non; je ne peux pas; je peux pas; je ne peux pas venir; je peux pas venir; je ne pourrai pas;
        je ne pourrai pas venir; je ne viens pas; je viens pas; je ne viendrai pas; je ne serai pas là;
        je ne serai pas présent; je ne serai pas présente; je n'y serai pas; je ne participe pas;
        je ne participerai pas; malheureusement non; malheureusement pas; pas cette fois; pas cette semaine; sans moi;
        je décline; impossible pour moi
    """,
    "maybe": """
        maybe; perhaps; possibly; tentative; tentatively; not sure; not sure yet; i'm not sure; i'm not sure yet;
        i am not sure; don't know; don't know yet; i don't know; i don't know yet; i'll try; i will try;
        i'll try to come; i'll try to be there; i'll try to make it; i'll see; we'll see; if i can; if possible;
        i might; i might come; might come; i may come; i might be there; i may be late; unsure
        vielleicht; eventuell; evtl; mal sehen; mal schauen; weiß noch nicht; weiß nicht; ich weiß noch nicht;
        ich weiß nicht; weiß ich noch nicht; unsicher; noch unsicher; bin noch unsicher; ich bin noch nicht sicher;
        noch nicht sicher; noch offen; ich versuche es; ich versuch's; wenn möglich; wenn es geht; wenn ich kann;
        falls möglich; unter vorbehalt;
        quizá; quizás; tal vez; a lo mejor; puede ser; puede que sí; puede; posiblemente; no sé; no lo sé;
        no sé todavía; todavía no sé; todavía no lo sé; aún no lo sé; aún no sé; no estoy seguro; no estoy segura;
        lo intentaré; intentaré ir; si puedo; si es posible; veremos
        peut-être; peut être; peut-être bien; si possible; si je peux; je ne sais pas; je sais pas;
        je ne sais pas encore; je ne suis pas sûr; je ne suis pas sûre; pas sûr; pas sûre; pas encore sûr;
        j'essaierai; j'essaie; je vais essayer; éventuellement; à voir; on verra; provisoire; sous réserve
    """,
    "second": """
        +1; + 1; plus one; plus 1; +1 from me; +1 here; me too; same here; second; 2nd; seconded; seconding; i second;
        i'd second; i'll second; i support; support; supported; i'm for; i am for; i'm for it; i agree; agree; agreed;
        in favour; in favor; i'm in favour; i'm in favor; interested; i'm interested
        dafür; bin dafür; ich bin dafür; ich auch; auch ich; mir auch; auch dafür; bin auch dafür; ich bin auch dafür;
        unterstütze ich; unterstütze; ich unterstütze; ich unterstütze das; unterstützt; ich schließe mich an;
        schließe mich an; ich stimme zu; stimme zu; zustimmung; plus eins; +1 von mir; interessiert mich auch
        apoyo; lo apoyo; yo apoyo; yo lo apoyo; apoyado; apoyada; secundo; lo secundo; yo secundo; secundado; a favor;
        estoy a favor; de acuerdo; estoy de acuerdo; yo también; más uno; +1 de mi parte; me interesa; me sumo
        je soutiens; soutenu; soutien; j'appuie; appuyé; appuyée; pour; je suis pour; moi aussi; d'accord;
        je suis d'accord; favorable; je suis favorable; je seconde; secondé; plus un; +1 pour moi; +1 de ma part;
        ça m'intéresse; m'intéresse aussi
    """,
    "lead": """
        leader; discussion leader; lead: me; me as lead; i'm the lead; i lead; i volunteer
        leitung; ich leite; leite ich; leiten; ich kann leiten; kann ich leiten; kann leiten;
        ich kann die leitung übernehmen; ich übernehme; ich übernehme die leitung; übernehme die leitung;
        leitung übernehme ich; ich würde leiten; ich leite gern; ich leite gerne; ich moderiere; ich kann moderieren;
        moderiere ich; moderation übernehme ich; ich übernehme die moderation; ich führe; ich kann führen
        dirijo; yo dirijo; dirigir; puedo dirigir; yo puedo dirigir; dirigiré; yo dirigiré; lo dirijo; yo lo dirijo;
        lidero; yo lidero; puedo liderar; yo puedo liderar; liderar; modero; yo modero; puedo moderar;
        yo puedo moderar; puedo llevarlo; yo lo llevo; me encargo; yo me encargo; me ofrezco; me ofrezco a dirigir
        j'anime; je l'anime; animer; je peux animer; je peux l'animer; j'animerai; je dirige; je peux diriger;
        diriger; je dirigerai; je mène; je peux mener; mener; je m'en charge; je me propose; je veux bien animer;
        je conduis
    """,
    "host": """
        i'm the host; i host; me as host; host: me
        gastgeber; gastgeberin; ich bin gastgeber; ich bin gastgeberin; ich mache den gastgeber; ich richte aus;
        ich kann gastgeber sein; ich kann ausrichten; ich lade ein; bei mir
        anfitrión; anfitriona; soy anfitrión; soy el anfitrión; soy la anfitriona; puedo ser anfitrión;
        puedo ser anfitriona; yo recibo; puedo recibir; yo hago de anfitrión
        hôte; j'accueille; je peux accueillir; accueillir; j'accueillerai; je reçois; je peux recevoir; j'héberge;
        chez moi; je peux être l'hôte; je suis l'hôte
    """,
    "scribe": """
        i take notes; i take the notes; i take minutes; i take the minutes; notes by me; minutes by me; notes: me;
        minutes: me; scribe: me; notes; minutes; note taker; notetaker; i write the minutes; i'm the scribe
        protokoll; ich schreibe protokoll; ich schreibe das protokoll; ich kann protokoll schreiben;
        ich protokolliere; ich kann das protokoll schreiben; ich kann protokollieren; ich führe protokoll;
        ich mache protokoll; protokoll von mir; ich mache das protokoll; protokoll mache ich; das protokoll mache ich;
        protokoll übernehme ich; ich schreibe mit; ich übernehme das protokoll; protokollführer; protokollführerin;
        protokoll schreibe ich; ich mache notizen
        acta; tomo acta; yo tomo acta; tomo notas; yo tomo notas; yo tomo las notas; tomaré notas; puedo tomar notas;
        yo puedo tomar notas; puedo hacer el acta; hago el acta; yo hago el acta; levanto acta; secretario; secretaria
        je prends des notes; je prends les notes; je peux prendre des notes; je peux prendre les notes; secrétaire;
        je prendrai des notes; je fais le compte rendu; je peux faire le compte rendu; je rédige le compte rendu;
        je ferai le compte rendu; compte rendu par moi; le compte rendu par moi; notes par moi; je note
    """,
    "swap": """
        swap; please swap; i need to swap; i'd like to swap; can we swap; pass it on; please pass it on; hand it over;
        hand over; someone else please; somebody else please; can somebody else; not my turn please
        tauschen; bitte tauschen; ich möchte tauschen; ich muss tauschen; tausch; tausch bitte; weitergeben;
        bitte weitergeben; gib es weiter; gebt es weiter; ich gebe weiter; ich gebe es weiter; ich kann nicht leiten;
        kann nicht leiten; ich kann leider nicht leiten; ich kann nicht moderieren; ich kann nicht gastgeber sein;
        ich kann das protokoll nicht schreiben; ich kann nicht protokollieren; ich kann kein protokoll schreiben
        cambiar; cambio; quiero cambiar; necesito cambiar; pásalo; pasarlo; que lo haga otro; no puedo dirigir;
        no puedo liderar; no puedo moderar; no puedo tomar notas; no puedo hacer el acta; no puedo ser anfitrión;
        no puedo recibir
        échanger; échange; je voudrais échanger; je passe la main; passer la main; à quelqu'un d'autre;
        je ne peux pas animer; je peux pas animer; je ne peux pas diriger; je ne peux pas mener;
        je ne peux pas accueillir; je ne peux pas prendre de notes; je ne peux pas prendre les notes;
        je ne peux pas faire le compte rendu
    """,
    "withdraw": """
        withdraw; withdrawn; i withdraw; i'd like to withdraw; please withdraw; retract; i retract; i take it back;
        take it back; taken back; never mind; nevermind; no longer needed; unsecond
        zurückziehen; zurückgezogen; ich ziehe zurück; ziehe zurück; ich ziehe es zurück; ich ziehe das zurück;
        ich nehme es zurück; ich nehme das zurück; nehme ich zurück; ziehe ich zurück; hat sich erledigt
        retiro; lo retiro; retirar; retirado; yo retiro; me retiro; ya no hace falta
        je retire; je le retire; retirer; retiré; je me retire; plus nécessaire; laissez tomber
    """,
    "done": """
        done; it's done; is done; it is done; all done; i did it; did it; complete; completed; finished; action done
        erledigt; ist erledigt; das ist erledigt; habe ich erledigt; hab ich erledigt; fertig; ist fertig; gemacht;
        ist gemacht; abgeschlossen; ist abgeschlossen; schon erledigt
        hecho; ya está hecho; está hecho; listo; ya está; ya está listo; terminado; completado; finalizado
        fait; c'est fait; c'est bon; terminé; c'est terminé; fini; c'est fini; achevé; accompli; effectué
    """,
    "drop": """
        drop; remove; delete; strike; take off; take it off; skip
        streichen; streiche; gestrichen; bitte streichen; entfernen; entferne; löschen; weglassen
        quitar; quita; eliminar; elimina; borrar; suprimir
        supprimer; supprime; supprimé; enlever; enlève; effacer; rayer; ôter
    """,
    "cancel": """
        cancel; cancelled; canceled; is cancelled; is canceled; meeting cancelled; meeting canceled;
        meeting is cancelled; meeting is canceled; the meeting is cancelled; the meeting is canceled; call it off;
        no meeting
        absagen; abgesagt; treffen absagen; meeting absagen; sitzung absagen; das treffen absagen;
        die sitzung absagen; treffen abgesagt; meeting abgesagt; sitzung abgesagt; das treffen ist abgesagt;
        die sitzung ist abgesagt; fällt aus; treffen fällt aus; das treffen fällt aus; meeting fällt aus;
        das meeting fällt aus; sitzung fällt aus; entfällt; die sitzung fällt aus; das treffen entfällt; kein treffen
        cancelar; cancelado; cancelada; reunión cancelada; la reunión está cancelada; se cancela;
        la reunión se cancela; se cancela la reunión; anular; anulada; sin reunión; no hay reunión
        annuler; annulé; annulée; réunion annulée; la réunion est annulée; on annule; pas de réunion
    """,
    "restore": """
        restore; restored; reinstate; uncancel; un-cancel; undo; bring back; bring it back; it takes place;
        takes place after all; the meeting takes place; is on again; the meeting is on again
        wiederherstellen; findet doch statt; das treffen findet statt; das treffen findet doch statt;
        doch nicht abgesagt; wieder aufnehmen; zurückholen
        restaurar; recuperar; restablecer; sí hay reunión; la reunión se hace
        rétablir; restaurer; remettre; maintenir; réunion maintenue; la réunion est maintenue; la réunion a lieu;
        la réunion aura lieu
    """,
    "away": """
        on nights; on days; on lates; on earlies; on shift; on duty; on night shift; on day shift; on late shift;
        nights; on early shift; night shift; day shift; late shift; early shift; on a night shift; i'm on nights;
        i am on nights; i'm on days; i am on days; i'm on shift; i am on shift; i'm on night shift; i have a shift;
        i have night shift; i'm on duty; i have nights; i'm on leave; i am on leave; on leave; on annual leave;
        on parental leave; on sick leave; on holiday; on holidays; i'm on holiday; i am on holiday; on vacation;
        i'm on vacation; i am on vacation; off; day off; i'm off; i am off; off duty; off shift; i'm off shift;
        my day off; it's my day off; away; i'm away; i am away; abroad; out of office; sick; i'm sick; i am sick; ill;
        i'm ill; i am ill; working; i'm working; i am working; i work; at work; i have to work; busy; i'm busy;
        i am busy; asleep; i'm asleep; i'll be asleep; sleeping; i'm sleeping; i'll be sleeping; after nights;
        i sleep; travelling; i'm travelling; traveling; i'm traveling; in training; at a training; on a course;
        at the dentist; at the doctor; at the doctor's; doctor's appointment; appointment; i have an appointment;
        in a meeting; another meeting; i have another meeting; i have a meeting; on call; i'm on call; family;
        too early; too late
        nachtschicht; spätschicht; frühschicht; tagschicht; nachtdienst; spätdienst; frühdienst; schicht;
        habe schicht; ich habe schicht; auf schicht; bin auf schicht; ich bin auf schicht; habe nachtschicht;
        ich habe nachtschicht; habe spätschicht; ich habe spätschicht; habe frühschicht; ich habe frühschicht;
        in der nachtschicht; im dienst; bin in der nachtschicht; habe dienst; ich habe dienst; nachts; urlaub;
        im urlaub; bin im urlaub; ich bin im urlaub; habe urlaub; ich habe urlaub; krank; bin krank; ich bin krank;
        krankgeschrieben; arbeiten; muss arbeiten; ich muss arbeiten; ich arbeite; arbeite; frei; habe frei;
        ich habe frei; dienstfrei; verhindert; bin verhindert; ich bin verhindert; keine zeit; habe keine zeit;
        ich habe keine zeit; unterwegs; bin unterwegs; ich bin unterwegs; verreist; bin verreist; ich bin verreist;
        auf schulung; lehrgang; arzttermin; habe einen termin; ich habe einen termin; termin; schlafe; ich schlafe;
        ich schlafe dann; beim arzt; elternzeit
        de noche; de noches; turno de noche; estoy de noche; estoy de noches; estoy de turno; de turno; en turno;
        trabajo; tengo turno; tengo turno de noche; de tarde; turno de tarde; de mañana; turno de mañana;
        estoy de guardia; de guardia; estoy trabajando; trabajando; tengo que trabajar; vacaciones; de vacaciones;
        estoy de vacaciones; enfermo; enferma; estoy enfermo; estoy enferma; de baja; estoy de baja; de viaje;
        estoy de viaje; libro; día libre; es mi día libre; estoy fuera; fuera; ocupado; ocupada; estoy ocupado;
        estoy ocupada; durmiendo; estaré durmiendo; tengo cita; tengo médico; en el médico; tengo otra reunión;
        de permiso; estoy de permiso
        de nuit; je suis de nuit; poste de nuit; équipe de nuit; en poste; je suis en poste; de poste;
        je suis de poste; de matin; je suis de matin; d'après-midi; je suis d'après-midi; je travaille;
        je travaille de nuit; au travail; en vacances; je suis en vacances; en congé; je suis en congé; congé; congés;
        en congés; malade; je suis malade; absent; absente; je suis absent; je suis absente; je serai absent;
        je serai absente; en déplacement; je suis en déplacement; occupé; occupée; je suis occupé; je suis occupée;
        de repos; je suis de repos; jour de repos; en repos; d'astreinte; je suis d'astreinte; de garde;
        je suis de garde; je dors; je dormirai; rendez-vous; j'ai un rendez-vous; chez le médecin; en formation;
        je suis en formation; empêché; empêchée; indisponible; je suis indisponible; pas disponible;
        je ne suis pas disponible; pas dispo
    """,
    "nothing": """
        thanks; thank you; many thanks; thx; ty; thanks a lot; thanks again; thank you very much; sorry; i'm sorry;
        i am sorry; so sorry; very sorry; apologies; my apologies; unfortunately; please; ok; okay; well; good luck;
        have fun; regards; best regards; kind regards; cheers; best; best wishes; enjoy; have a good meeting; great;
        good idea; all the best
        danke; danke schön; dankeschön; vielen dank; besten dank; danke sehr; lieben dank; bitte; leider; sorry;
        entschuldigung; tut mir leid; es tut mir leid; gruß; viele grüße; grüße; liebe grüße; lg; vg; mfg;
        beste grüße; schöne grüße; mit freundlichen grüßen; freundliche grüße; viel spaß; viel erfolg; gut; gute idee;
        super
        gracias; muchas gracias; mil gracias; lo siento; lo siento mucho; perdón; perdona; disculpa; disculpas;
        por desgracia; lamentablemente; desgraciadamente; por favor; un saludo; saludos; un abrazo; bien; buena idea;
        vale; suerte
        merci; merci beaucoup; merci bien; désolé; désolée; je suis désolé; je suis désolée; pardon; malheureusement;
        svp; stp; hélas; s'il vous plaît; s'il te plaît; cordialement; bien cordialement; bonne réunion; bonne idée;
        salutations; à plus
    """,
}
_OFFERING = (
    "; i; i'll; i will; i can; i could; i would; i'd; i'd like to; i would like to; i want to; i am happy to;"
    " i'm happy to; happy to; glad to; i'd be happy to; i'd be glad to; i am willing to; i'm willing to; willing to;"
    " i volunteer to; volunteer to; let me; can; will; i offer to; i can also; i can try to; i'm going to; i could also"
)
_REFUSING = (
    "can't; cannot; can not; i can't; i cannot; i can not; won't; i won't; i will not; i won't be able to; unable to;"
    " i am unable to; i'm unable to; i'm not able to; not able to; i couldn't; i don't want to; i'd rather not"
)
_TASKS: Mapping[Offer, str] = {
    "lead": "lead; chair; moderate; facilitate; be lead; be the lead; be leader; be the leader",
    "host": "host; be host; be the host",
    "scribe": (
        "scribe; be scribe; be the scribe; take notes; take the notes; take minutes; take the minutes;"
        " write the minutes; write minutes; do the minutes; do minutes; keep minutes; keep the minutes;"
        " write the notes; do the notes"
    ),
}
_WITHDRAWING = {
    "withdraw; i withdraw; retract; i retract; please withdraw; i'd like to withdraw; i take back; take back": {
        "topic": "my topic; my proposal; my item; my suggestion; my point; the topic; topic",
        "second": "my second; my +1; my support; my vote; second",
        "offer": "my offer; offer; my offer to lead; my offer to host; my offer to take notes",
    },
    "ich ziehe; ziehe": {
        "topic": "mein thema zurück; meinen vorschlag zurück; meinen punkt zurück; das thema zurück",
        "second": "meine unterstützung zurück; mein +1 zurück",
        "offer": "mein angebot zurück",
    },
    "retiro; yo retiro": {
        "topic": "mi tema; mi propuesta; mi punto; el tema",
        "second": "mi apoyo; mi +1",
        "offer": "mi ofrecimiento; mi oferta",
    },
    "je retire; retirer": {
        "topic": "mon sujet; ma proposition; mon point; le sujet",
        "second": "mon soutien; mon +1; mon appui",
        "offer": "mon offre",
    },
}
_ENDS = """
    this; it; that; this one; that one; this topic; the topic; this item; the item; this action; the action;
    the discussion; this discussion; the meeting; this meeting; the session; this session; this week's meeting;
    the next meeting; next meeting; this time; this week; next week; then; that day; that week; that time; too;
    as well; again; please; gladly; for now; yet; tomorrow; today; at the moment; on that day; from me; of mine;
    for this; for it; for that; though; this month; already; also
    das; es; dies; dieses thema; das thema; diesen punkt; den punkt; die diskussion; diesmal; dieses mal; dann;
    das treffen; dieses treffen; die sitzung; das meeting; diese woche; bitte; gern; gerne; auch; morgen; heute;
    leider; an dem tag; schon; danke; sorry
    esto; este tema; el tema; ese tema; este punto; el punto; la discusión; la reunión; esta reunión; la sesión;
    esta vez; esta semana; por favor; también; mañana; hoy; ese día; entonces; ya; todavía; gracias
    ce sujet; le sujet; ce point; le point; cela; ça; la discussion; la réunion; cette réunion; la séance; cette fois;
    cette semaine; aussi; demain; aujourd'hui; ce jour-là; svp; stp; s'il vous plaît; s'il te plaît; déjà; non plus;
    merci; désolé; désolée
"""
_STARTS = """
    sorry; well; ok; okay; oh; unfortunately; please; so; hi; also; and; but; i'm afraid; i think; then; because
    leider; bitte; also; gut; und; aber; ach; denn; ich glaube; weil
    lo siento; por desgracia; por favor; pues; y; pero; bueno; creo que; porque
    désolé; désolée; malheureusement; et; mais; alors; bon; je crois que; car
"""
_MOST_ENDS = 4  # words and groups of words that may stand around a phrase
_END_WORDS, _START_WORDS = 4, 3


def meanings(piece: str) -> tuple[Meaning, ...] | None:
    """What a piece of a line means, in the order of its words; None where it is no known phrase."""
    said = key(piece)
    if not said:
        return ()
    if found := _known(said):
        return (found,)
    head, _, rest = said.partition(" ")
    first, second = _KNOWN.get(head), _known(rest)
    return (first, second) if first in ("yes", "no", "maybe", "nothing") and second else None


def withdrawn(piece: str) -> str:
    """Of what somebody withdraws, whether it is said to be a topic, a second or an offer; else empty."""
    return _WITHDRAWN.get(key(piece), "")


def key(text: str) -> str:
    """A phrase as it is compared: folded, without apostrophes, hyphens and marks at its ends."""
    plain = fold(text.replace("👍", " +1 ")).replace("'", "").replace("-", " ")
    return " ".join(plain.split()).strip(' .!:;,*_()"¡…')


def _known(said: str) -> Meaning | None:
    """The meaning of a phrase, be it with or without what may stand at its ends."""
    for _ in range(_MOST_ENDS):
        if said in _KNOWN:
            break
        said = _shorter(said)
    return _KNOWN.get(said)


def _shorter(said: str) -> str:
    """A phrase without one of the words, or groups of words, that may stand at its ends."""
    words = said.split(" ")
    for count in range(min(_END_WORDS, len(words) - 1), 0, -1):
        if " ".join(words[-count:]) in _END:
            return " ".join(words[:-count])
    for count in range(min(_START_WORDS, len(words) - 1), 0, -1):
        if " ".join(words[:count]) in _START:
            return " ".join(words[count:])
    return said


def _split(phrases: str) -> Iterator[str]:
    return (key(one) for line in phrases.strip().split("\n") for one in line.rstrip("; ").split(";"))


def _joined(begins: str, ends: str) -> Iterator[str]:
    return (key(f"{begin} {end}") for begin, end in product(begins.split(";"), ends.split(";")))


def _withdrawals() -> Iterator[tuple[str, str]]:
    for begins, things in _WITHDRAWING.items():
        for thing, ends in things.items():
            yield from ((phrase, thing) for phrase in _joined(begins, ends))


def _all() -> Iterator[tuple[str, Meaning]]:
    for meaning, phrases in _PHRASES.items():
        yield from ((phrase, meaning) for phrase in _split(phrases))
    for task, names in _TASKS.items():
        yield from ((phrase, task) for phrase in _joined(_OFFERING, names))
        yield from ((phrase, "swap") for phrase in _joined(_REFUSING, names))
    yield from ((phrase, "withdraw") for phrase in _WITHDRAWN)


_WITHDRAWN = dict(_withdrawals())
_KNOWN = dict(_all())
_END, _START = frozenset(_split(_ENDS)), frozenset(_split(_STARTS))
