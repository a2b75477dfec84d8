// The timing of membership: three presets, each number of which can be overridden.
//
// With n members, and p99 of one probe somewhere in the cluster reaching a given member within about
// 4.3 × probeIntervalMs (n members probing in shuffled rounds; at most (2n - 3) × probeIntervalMs by any one of them):
//
//   a killed process, its port closed   lost connection + refused dial + one round trip to a witness
//   a hung one                          first probe + 2 × probeTimeoutMs + suspicionMs: 2.6 s in lan, 12.9 s in wan
//   a pause that is never called one    2 × probeTimeoutMs + suspicionMs: 1.5 s in lan, 7.6 s in wan
//   idle messages per member            4 every probeIntervalMs: a probe and an answer each way

export interface Profile {
  /** One member is probed in each. Shorter notices a hang sooner, for as many more messages. */
  readonly probeIntervalMs: number
  /**
   * A direct probe is answered within this, and the indirect ones within as much again. Longer than the slowest round
   * trip and timer of a healthy member; shorter notices sooner and suspects more often in vain.
   */
  readonly probeTimeoutMs: number
  /** Members asked to probe one that did not answer. More get round more broken links, for two messages each. */
  readonly indirectProbes: number
  /**
   * How long the accused has to refute once others have confirmed the suspicion, and always in a cluster of two:
   * longer forgives longer pauses and notices hangs later. Multiplied as in `suspicionTimeoutMs`.
   */
  readonly suspicionMs: number
  /** How many times as long it has while nobody confirmed. Higher trusts a single accuser less. */
  readonly suspicionUnconfirmedFactor: number
  /** Confirmations by others after which the timeout is at its shortest (fewer in a cluster that has not as many). */
  readonly confirmationsMax: number
  /** How far a node blames itself: timeouts are at most 1 + this times as long (Lifeguard's local health). */
  readonly healthScoreMax: number
  /** A delay of the node's own event loop from which it blames itself. Above the lateness of timers on a busy machine. */
  readonly lagToleratedMs: number
  /** Probes that nobody answered at all, not even a helper, which a node puts down to itself before it accuses. */
  readonly silentProbesMax: number
  /** Members asked at once whether the port of another refuses them too. One is enough; a second covers its death. */
  readonly witnesses: number
  /** Rounds of witnesses, `probeTimeoutMs` apart, before the suspicion's timeout is left to decide. */
  readonly witnessRoundsMax: number
  /** A rumour is passed on ⌈this × log2(n + 1)⌉ times by each member that hears it: misses fewer as it grows. */
  readonly rumourRepeats: number
  /** Bound on the rumours that ride on a message, each about 120 bytes. */
  readonly rumoursPerMessageMax: number
  /** A suspicion, a refutation, a join and a leave are told to this many members at once; others hear from them. */
  readonly urgentFanout: number
  /** How often, at most, a node exchanges full views with one that answered with another. Half of it is chance. */
  readonly syncIntervalMs: number
  /** Members in one message of a full exchange, so that it stays far below a frame. */
  readonly syncMembersMax: number
  /** Wait before a member without a connection is dialled again; doubles, half of it is chance. */
  readonly redialFirstMs: number
  /** The longest such wait: how late a member that is back may be noticed, if it does not dial by itself. */
  readonly redialMostMs: number
  /** A dial of which nothing was reported counts as unanswered after this. Longer than the dialler's own timeout. */
  readonly dialLimitMs: number
  /** How long `left` and `failed` members are remembered, so that no stale rumour brings them back as alive. */
  readonly rememberMs: number
}

const lan: Profile = {
  probeIntervalMs: 250,
  probeTimeoutMs: 150,
  indirectProbes: 3,
  suspicionMs: 1200,
  suspicionUnconfirmedFactor: 3,
  confirmationsMax: 3,
  healthScoreMax: 8,
  lagToleratedMs: 100,
  silentProbesMax: 3,
  witnesses: 2,
  witnessRoundsMax: 3,
  rumourRepeats: 3,
  rumoursPerMessageMax: 12,
  urgentFanout: 128,
  syncIntervalMs: 2000,
  syncMembersMax: 256,
  redialFirstMs: 250,
  redialMostMs: 10_000,
  dialLimitMs: 5000,
  rememberMs: 24 * 3_600_000,
}

/** Values of `cluster.profile`. */
export type ProfileName = 'local' | 'lan' | 'wan'

export const profiles: Readonly<Record<ProfileName, Profile>> = {
  /** All on one machine: no network to be slow, but cores to be shared. */
  local: {
    ...lan,
    probeIntervalMs: 200,
    probeTimeoutMs: 100,
    suspicionMs: 700,
    syncIntervalMs: 1000,
    redialMostMs: 3000,
  },
  /** One site: round trips of a few milliseconds. */
  lan,
  /** Several sites: round trips of up to 400 ms, and links that lose. */
  wan: {
    ...lan,
    probeIntervalMs: 1000,
    probeTimeoutMs: 800,
    suspicionMs: 6000,
    suspicionUnconfirmedFactor: 4,
    lagToleratedMs: 300,
    rumourRepeats: 4,
    syncIntervalMs: 10_000,
    redialFirstMs: 1000,
    redialMostMs: 30_000,
    dialLimitMs: 15_000,
  },
}

/** A preset, with what `timing` says over it. */
export function profileOf(name: ProfileName, timing: Timing = {}): Profile {
  const given = Object.entries(timing).filter(([, value]) => value !== undefined)
  return { ...profiles[name], ...Object.fromEntries(given) }
}

/** Numbers that go over those of a preset; undefined: the preset's own. */
export type Timing = { readonly [Name in keyof Profile]?: Profile[Name] | undefined }

/**
 * How long a suspected member has to refute, from the first accusation:
 *
 *   shortest = suspicionMs × max(1, ln n ÷ ln urgentFanout)
 *   longest  = shortest × suspicionUnconfirmedFactor
 *   timeout  = longest - (longest - shortest) × ln(1 + confirmations) ÷ ln(1 + expected)
 *
 * where `expected` is the smaller of confirmationsMax and n - 2, those who could confirm; with none, it is `shortest`.
 * The logarithm of n stands for the rounds of gossip that reach those who are not told at once. After Lifeguard
 * (Dadgar, Phillips, Currey: "Lifeguard: Local Health Awareness for More Accurate Failure Detection", 2018).
 *
 * @param members        n, all that count as alive, oneself and the suspect included
 * @param confirmations  accusers besides the first
 */
export function suspicionTimeoutMs(profile: Profile, members: number, confirmations: number): number {
  const rounds = Math.log(members) / Math.log(profile.urgentFanout)
  const shortest = profile.suspicionMs * Math.max(1, rounds)
  const expected = expectedConfirmations(profile, members)
  if (expected <= 0) return shortest
  const longest = shortest * profile.suspicionUnconfirmedFactor
  const share = Math.min(1, Math.log(1 + confirmations) / Math.log(1 + expected))
  return longest - (longest - shortest) * share
}

/** How many can confirm a suspicion: neither the accuser nor the accused. */
export function expectedConfirmations(profile: Profile, members: number): number {
  return Math.max(0, Math.min(profile.confirmationsMax, members - 2))
}
