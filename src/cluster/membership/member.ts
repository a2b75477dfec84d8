// A member as others speak of it, and which of two statements about it counts.
import type { Position } from '../../base/stamp.ts'

/** A member's state as everybody is shown it. */
export type MemberStatus = 'alive' | 'leaving' | 'left' | 'failed'

/**
 * What a rumour says, in order of precedence. `suspect` is shown as alive. `forced` and `pruned` are ways to have
 * left: the first by somebody's word, the second not even listed any more. Wire format: the list only ever grows.
 */
export const memberStates = ['alive', 'suspect', 'leaving', 'failed', 'left', 'forced', 'pruned'] as const
export type MemberState = (typeof memberStates)[number]

/** One statement about a member. */
export interface Rumour {
  readonly name: string
  /** `host:port` at which others reach it. */
  readonly address: string
  /** Position of its registration: a newer one is another member under the same name. */
  readonly life: Position
  /** Raised by the member itself alone, to refute what is said of it; starts at 0 in each life. */
  readonly incarnation: number
  readonly state: MemberState
  /** Who says so first: independent accusers are counted. */
  readonly by: string
  /** For how long it has been in this state, where that matters: who failed or left is forgotten some day. */
  readonly ageMs?: number
}

/** A member, for people and for other folders. */
export interface Member {
  readonly name: string
  readonly address: string
  readonly status: MemberStatus
  readonly life: Position
  readonly incarnation: number
  /** When it came to this status, on the clock that `now` is of. */
  readonly sinceMs: number
}

/** Who is to be reached where. */
export interface Peer {
  readonly name: string
  readonly address: string
  /** 0 when nobody knows yet. */
  readonly life: Position
}

/** Whether `state` is a life's end: nothing but a new life comes after, whatever the incarnation. */
export function isFinal(state: MemberState): boolean {
  return state === 'forced' || state === 'pruned'
}

/** Whether the member is, as far as anybody knows, there to be spoken with. */
export function isPresent(state: MemberState): boolean {
  return state === 'alive' || state === 'suspect' || state === 'leaving'
}

/** Whether `news` replaces `known`: by life, then by a forced end, then by incarnation, then by state. */
export function supersedes(
  news: Pick<Rumour, 'life' | 'incarnation' | 'state'>,
  known: Pick<Rumour, 'life' | 'incarnation' | 'state'>,
): boolean {
  if (news.life !== known.life) return news.life > known.life
  if (isFinal(news.state) || isFinal(known.state)) return rank(news.state) > rank(known.state)
  if (news.incarnation !== known.incarnation) return news.incarnation > known.incarnation
  return rank(news.state) > rank(known.state)
}

function rank(state: MemberState): number {
  return memberStates.indexOf(state)
}
