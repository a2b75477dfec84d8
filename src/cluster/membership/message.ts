// What members say to each other. Wire format: kinds and fields are only ever added.
import { z } from 'zod'
import { memberStates } from './member.ts'

/** What a node has applied of the log, said with the answer to a probe. */
export const progress = z.object({
  position: z.int().nonnegative(),
  digest: z.string().length(64),
  /** Since when, in ms, it may be missing something; left out when it never was certain. */
  freshnessMs: z.number().nonnegative().exactOptional(),
})
export type Progress = z.infer<typeof progress>

const name = z.string().min(1).max(255)
const count = z.int().nonnegative()

const rumour = z.object({
  name,
  address: z.string().min(1).max(255),
  life: count,
  incarnation: count,
  state: z.enum(memberStates),
  by: name,
  ageMs: z.number().nonnegative().exactOptional(),
})

/** Bound on the rumours of a message that is accepted; profiles stay far below it. */
const rumoursMax = 4096

/** The sender's own state rides on every message: the first to know of its incarnation are those it speaks with. */
const head = {
  life: count,
  incarnation: count,
  leaving: z.boolean().exactOptional(),
  /** Hash of what the sender knows: two that differ have something to tell each other. */
  view: z.string().max(16),
  rumours: z.array(rumour).max(rumoursMax).exactOptional(),
}

/** Checks a message of another node: what is asked or answered, and the head. */
export const membershipMessage = z.discriminatedUnion('kind', [
  /** Answer me. */
  z.object({ ...head, kind: z.literal('probe'), sequence: count }),
  /** The answer to a probe, or passed on by a helper: it answered me. */
  z.object({ ...head, kind: z.literal('ack'), sequence: count, progress: progress.exactOptional() }),
  /** From a helper: I am here, and it does not answer me either. */
  z.object({ ...head, kind: z.literal('nack'), sequence: count }),
  /** Probe `target` for me. */
  z.object({ ...head, kind: z.literal('probe-for'), sequence: count, target: name }),
  /** The port of `target` refuses me; you too? */
  z.object({ ...head, kind: z.literal('ask-witness'), target: name, targetLife: count }),
  /** It does, or I can't say so. */
  z.object({ ...head, kind: z.literal('testify'), target: name, targetLife: count, refused: z.boolean() }),
  /** Nothing but the rumours. Never answered. */
  z.object({ ...head, kind: z.literal('gossip') }),
  /** The rumours are all that I know; `answer` with yours. */
  z.object({ ...head, kind: z.literal('sync'), answer: z.boolean() }),
])
export type MembershipMessage = z.infer<typeof membershipMessage>

/** All but the head. */
export type MessageBody = BodyOf<MembershipMessage>
type BodyOf<Message> = Message extends MembershipMessage ? Omit<Message, keyof typeof head> : never

/** A message on its way; dropped when there is no connection, which all of this bears. */
export interface Outgoing {
  readonly to: string
  readonly message: MembershipMessage
}
