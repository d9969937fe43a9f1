// The promote protocol as two tables: what each side of a handover does next. Pure: a test runs
// every order of messages, deaths and deadlines through them.
//
// Theory of Operation. The holder has the clients and the state; the heir is to have them. They
// talk over a channel, each watches the other's pidfd, and one word of shared memory decides: the
// heir sets it from HOLDER to HEIR just before it touches the first client, the holder sets it from
// HOLDER to BACK before it serves again. Only one of the two exchanges can succeed, so never do
// both serve, whatever was lost, late or killed.
//
//   holder                                heir
//   starting    <── hello ──────────────  greeting       versions; anything unfit ends here
//   copying     ─── welcome ───────────>  waiting
//               ─── copy ──────────────>  (rehearse)     the whole state, made between wake-ups
//   rehearsing  <── rehearsed ──────────  receiving
//   describing  ─── descriptors ───────>                 in batches, each answered by
//               <── got ────────────────
//   standing    ─── stand_by ──────────>  standing       all that is not going to change
//               <── standing ───────────  receiving
//   ready       (decide: go on, or it was a dry run)
//   handing     ─── final ─────────────>  (adopt)        from here on the holder serves nobody;
//               ─── probe ─ ─ ─ ─ ─ ─ ─>                 beside it one more client: the holder
//   probing     <── adopted ────────────  adopted        itself, whose answers may come first
//   answered    <── right ─ ─ ─ ─ ─ ─ ──
//   committed   ─── commit ────────────>  (take the word)
//               <── serving ────────────  serving        the point of no return is behind us
//   ended       ─── (end of channel) ──>
//
// Everybody waits from `pause` until the heir serves: three messages, of which the first has only
// what is otherwise than the heir was told to stand by for.
//
// The keeper of an update in place (keeper.ts) is an heir up to `final_keep`, which has everything,
// and from there the holder, in state `guarding`, of the program that the old one has become. That
// one is probed once it has adopted.
//
// A peer's death is told to a machine only after everything that the peer had sent; but `serving`
// from a peer that is dead by then is told as its death.

/** Who may serve; see the word's exchange above. */
export const WORD = { holder: 0, heir: 1, back: 2 } as const;

export type HolderState =
  | "starting"
  | "copying"
  | "rehearsing"
  | "describing"
  | "standing"
  | "ready"
  | "handing"
  | "handing_keep"
  | "guarding"
  | "probing"
  /** The probe is answered; whether the state is the same is still to be told. */
  | "answered"
  | "committed"
  /** The word is asked for. The heir may have written to shared memory: for itself, for a probe. */
  | "reclaiming"
  /** The word is ours. The heir is to be gone before its state is touched; it will not serve. */
  | "outliving"
  /** The word is the heir's: it may be serving until it is gone. */
  | "burying"
  | "ended";

export type HolderEvent =
  // From the heir.
  | "hello_fit"
  | "hello_unfit"
  | "rehearsed"
  /** A batch of descriptors has come. In the pause there may be one more, which changes nothing. */
  | "got"
  | "standing"
  | "kept"
  | "adopted"
  | "serving"
  | "refused"
  /** In place: the new program goes back to being the old one, which tries once more. */
  | "stepped_back"
  // From this side.
  | "copied"
  /** All descriptors are with the heir, or with a keeper. */
  | "described"
  | "described_keep"
  | "go"
  | "go_keep"
  | "stay"
  | "exec_failed"
  | "probe_right"
  | "probe_wrong"
  | "probe_wrong_once"
  | "word_ours"
  | "word_theirs"
  | "cancel"
  // From the kernel.
  | "peer_dead"
  | "closed"
  | "deadline";

export type HolderEffect =
  | "send_welcome"
  | "start_copy"
  | "send_copy"
  /** The next batch; where there is none, feeds described or described_keep. */
  | "send_descriptors"
  | "send_stand_by"
  | "decide"
  | "pause"
  /** With one end of the probe's connection. */
  | "send_final"
  | "send_final_keep"
  | "exec"
  | "probe"
  | "send_commit"
  | "send_abort"
  /** Exchange the word, and feed word_ours or word_theirs. */
  | "retrieve_word"
  | "kill_peer"
  /** Serve again: nobody else has had the state. */
  | "resume"
  /** Serve on what the heir has left behind; what it had touched is closed. */
  | "adopt_again"
  | "leave"
  | "fail";

type HolderRow = readonly [HolderState, HolderEvent, HolderState, ...HolderEffect[]];

const HOLDER_ROWS: readonly HolderRow[] = [
  // from        on             to            effects
  ["starting", "hello_fit", "copying", "send_welcome", "start_copy"],
  ["copying", "copied", "rehearsing", "send_copy"],
  ["rehearsing", "rehearsed", "describing", "send_descriptors"],
  ["describing", "got", "describing", "send_descriptors"],
  ["describing", "described", "standing", "send_stand_by"],
  ["describing", "described_keep", "ready", "decide"],
  ["standing", "standing", "ready", "decide"],
  ["ready", "go", "handing", "pause", "send_final"],
  ["ready", "go_keep", "handing_keep", "pause", "send_final_keep"],
  ["handing", "adopted", "probing"],
  ["probing", "probe_right", "committed", "send_commit"],
  ["handing", "probe_right", "answered"],
  ["answered", "adopted", "committed", "send_commit"],
  ["committed", "serving", "ended", "leave"],
  ["guarding", "adopted", "probing", "probe"],
  ["handing_keep", "kept", "handing_keep", "exec"],
  ["handing_keep", "exec_failed", "ended", "send_abort", "kill_peer", "resume", "fail"],
  // In place there is a program to step back to: it gets a chance of its own.
  ["probing", "probe_wrong_once", "guarding", "send_abort"],
  ["guarding", "stepped_back", "guarding"],
  ["probing", "stepped_back", "guarding"],
  ["committed", "stepped_back", "guarding"],
  // The old program back in place may have taken the commit that was meant for the new one.
  ["guarding", "serving", "ended", "leave"],
  ["probing", "serving", "ended", "leave"],
  ["reclaiming", "word_ours", "outliving", "kill_peer"],
  ["reclaiming", "word_theirs", "burying", "kill_peer"],
  ["outliving", "peer_dead", "ended", "adopt_again", "fail"],
  // A process that even SIGKILL does not end at once waits inside the kernel: it writes nothing.
  ["outliving", "deadline", "ended", "adopt_again", "fail"],
  ["burying", "peer_dead", "ended", "adopt_again", "fail"],
  ["burying", "deadline", "burying", "kill_peer"],
];

/** Nothing was stopped yet: whatever goes wrong, the holder has just to go on. */
const BEFORE_PAUSE = [
  "starting",
  "copying",
  "rehearsing",
  "describing",
  "standing",
  "ready",
] as const;
/** It has stopped, and the heir has everything. */
const HANDED = ["handing", "guarding", "probing", "answered"] as const;
const TROUBLE = [
  "hello_unfit",
  "refused",
  "stay",
  "cancel",
  "peer_dead",
  "closed",
  "deadline",
] as const;

const HOLDER_TROUBLE: readonly HolderRow[] = [
  ...BEFORE_PAUSE.flatMap((from) =>
    TROUBLE.map((on): HolderRow => [from, on, "ended", "send_abort", "kill_peer", "fail"]),
  ),
  ...(["refused", "cancel", "peer_dead", "closed", "deadline"] as const).map((on): HolderRow => [
    "handing_keep",
    on,
    "ended",
    "kill_peer",
    "resume",
    "fail",
  ]),
  ...HANDED.flatMap((from) =>
    (["refused", "cancel", "peer_dead", "closed", "deadline"] as const).map((on): HolderRow => [
      from,
      on,
      "reclaiming",
      "send_abort",
      "retrieve_word",
    ]),
  ),
  ["handing", "probe_wrong", "reclaiming", "send_abort", "retrieve_word"],
  ["probing", "probe_wrong", "reclaiming", "send_abort", "retrieve_word"],
  // After the commit the end of the channel alone says nothing: the heir may be serving.
  ...(["refused", "peer_dead", "deadline"] as const).map((on): HolderRow => [
    "committed",
    on,
    "reclaiming",
    "retrieve_word",
  ]),
];

export type HeirState =
  | "greeting"
  | "waiting"
  | "rehearsing"
  | "receiving"
  | "standing"
  | "adopting"
  | "adopted"
  | "taking"
  | "serving"
  | "served"
  /** It is the keeper from here on. */
  | "guarding"
  | "ended";

export type HeirEvent =
  // From the holder.
  | "welcome"
  | "copy"
  | "descriptors"
  | "stand_by"
  | "final"
  | "final_keep"
  | "probe"
  | "commit"
  | "abort"
  // From this side.
  /** What came makes no sense, or cannot be taken: the holder is told why. */
  | "breach"
  | "rehearsal_good"
  | "rehearsal_bad"
  | "standing_good"
  | "standing_bad"
  | "adoption_good"
  | "adoption_bad"
  | "word_ours"
  | "word_theirs"
  | "first_served"
  // From the kernel.
  | "peer_dead"
  | "closed"
  | "deadline";

export type HeirEffect =
  | "rehearse"
  | "send_rehearsed"
  | "send_got"
  | "stand_by"
  | "send_standing"
  | "adopt"
  | "send_adopted"
  | "send_refused"
  /** If there is one yet. */
  | "serve_probe"
  /** Exchange the word, and feed word_ours or word_theirs. */
  | "take_word"
  | "serve"
  | "send_serving"
  | "send_kept"
  | "guard"
  /** Exit; in place: become the old program again. */
  | "give_up";

type HeirRow = readonly [HeirState, HeirEvent, HeirState, ...HeirEffect[]];

const HEIR_ROWS: readonly HeirRow[] = [
  // from      on                to            effects
  ["greeting", "welcome", "waiting"],
  ["waiting", "copy", "rehearsing", "rehearse"],
  ["rehearsing", "rehearsal_good", "receiving", "send_rehearsed"],
  ["rehearsing", "rehearsal_bad", "ended", "send_refused", "give_up"],
  ["receiving", "descriptors", "receiving", "send_got"],
  ["receiving", "stand_by", "standing", "stand_by"],
  ["standing", "standing_good", "receiving", "send_standing"],
  ["standing", "standing_bad", "ended", "send_refused", "give_up"],
  ["receiving", "final", "adopting", "adopt"],
  ["receiving", "final_keep", "guarding", "send_kept", "guard"],
  ["adopting", "adoption_good", "adopted", "serve_probe", "send_adopted"],
  ["adopting", "adoption_bad", "ended", "send_refused", "give_up"],
  ["adopted", "probe", "adopted", "serve_probe"],
  ["adopted", "commit", "taking", "take_word"],
  // The holder is gone, and all of its state is here.
  ["adopted", "peer_dead", "taking", "take_word"],
  ["adopted", "abort", "ended", "send_refused", "give_up"],
  ["adopted", "breach", "ended", "send_refused", "give_up"],
  ["adopted", "deadline", "ended", "send_refused", "give_up"],
  // The holder may still take it back: its death or the deadline decides.
  ["adopted", "closed", "adopted"],
  ["taking", "word_ours", "serving", "serve"],
  ["taking", "word_theirs", "ended", "give_up"],
  ["serving", "first_served", "served", "send_serving"],
];

const HEIR_TROUBLE: readonly HeirRow[] = [
  ...(["greeting", "waiting", "receiving"] as const).map((from): HeirRow => [
    from,
    "breach",
    "ended",
    "send_refused",
    "give_up",
  ]),
  ...(["greeting", "waiting", "receiving"] as const).flatMap((from) =>
    (["abort", "peer_dead", "closed", "deadline"] as const).map((on): HeirRow => [
      from,
      on,
      "ended",
      "give_up",
    ]),
  ),
  ...(["serving", "served"] as const).flatMap((from) =>
    (["peer_dead", "closed", "deadline", "abort"] as const).map((on): HeirRow => [from, on, from]),
  ),
];

export interface Step<State, Effect> {
  readonly to: State;
  readonly effects: readonly Effect[];
}

type AnyRow<S, E, F> = readonly [S, E, S, ...F[]];

function indexRows<S extends string, E extends string, F>(
  rows: readonly AnyRow<S, E, F>[],
): ReadonlyMap<string, Step<S, F>> {
  const index = new Map<string, Step<S, F>>();
  for (const [from, on, to, ...effects] of rows) index.set(`${from} ${on}`, { to, effects });
  return index;
}

const HOLDER = indexRows<HolderState, HolderEvent, HolderEffect>([
  ...HOLDER_ROWS,
  ...HOLDER_TROUBLE,
]);
const HEIR = indexRows<HeirState, HeirEvent, HeirEffect>([...HEIR_ROWS, ...HEIR_TROUBLE]);

/** undefined: what came means nothing in this state, and is dropped. */
export const holderStep = (
  state: HolderState,
  event: HolderEvent,
): Step<HolderState, HolderEffect> | undefined => HOLDER.get(`${state} ${event}`);

export const heirStep = (
  state: HeirState,
  event: HeirEvent,
): Step<HeirState, HeirEffect> | undefined => HEIR.get(`${state} ${event}`);
