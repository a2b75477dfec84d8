// A change travels from the node that made it straight to the others, and its acknowledgements come back.
import { z } from 'zod'
import { type Clock, within } from '../../base/clock.ts'
import { codeOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Position, Stamp } from '../../base/stamp.ts'
import type { LogEvent } from '../../event-log/event.ts'
import { Acknowledgements, type Delivered, type Recipient } from './acknowledgements.ts'

/** The follower of the log, as far as pushes need it. */
export interface Applier {
  offer(events: readonly LogEvent[]): 'applied' | 'known' | 'gap' | 'other-history'
  /** Pulls until `position` is applied. */
  reach(position: Position, limitMs: number): Promise<void>
  /** The digest at the end of a transaction that was applied not long ago. */
  digestAt(position: Position): string | undefined
}

/** A connection to another node; the transport's peer fits. */
export interface Target {
  readonly life: Position
  call(method: string, params: unknown, timeoutMs: number): Promise<unknown>
}

export interface PushParts {
  readonly applier: Applier
  /** The open connection to a node, if there is one. */
  readonly target: (name: string) => Target | undefined
  /** Whether a node is believed dead: it is named and not waited for. */
  readonly hasFailed: (name: string) => boolean
  /** This node's own name and life. */
  readonly self: () => Recipient
  readonly clock: Clock
  readonly logger: Logger
}

export interface Change {
  /** The newest event of the transaction. */
  readonly stamp: Stamp
  /** All who must have it, read under the log's lock with the position. */
  readonly recipients: readonly Recipient[]
}

export const pushMethod = 'push'

const event = z.object({
  position: z.int().positive(),
  first: z.int().positive(),
  digest: z.string().length(64),
  body: z.string(),
})
/** Wire format: fields are only ever added. No events: pull, what was changed is too long for a frame. */
const pushed = z.object({ to: z.int().positive(), events: z.array(event) })
const acknowledged = z.object({ life: z.int().nonnegative(), position: z.int(), digest: z.string() })

/** Beyond it the others are told to pull: below the transport's bound on frames, with room for what is around it. */
const pushBytesMax = 512 * 1024

/** A node that can't reach the datastore itself answers late; the writer does not wait for it as long. */
const pullLimitMs = 5000

export class Push {
  readonly #parts: PushParts

  constructor(parts: PushParts) {
    this.#parts = parts
  }

  /**
   * Sends what this node has committed and applied to all who must have it.
   * @param events   the transaction
   * @param limitMs  how long to wait; 0 does not
   * @returns        who has it by then; sooner when all have, but those that are believed dead
   */
  async deliver(
    { stamp, recipients }: Change,
    events: readonly LogEvent[],
    limitMs: number,
  ): Promise<Delivered> {
    const { clock, self, hasFailed } = this.#parts
    const acknowledgements = new Acknowledgements(recipients)
    acknowledgements.note(self().name, self().life)
    const awaited = acknowledgements.missing.map(async (name) => {
      const told = this.#tell(name, stamp, events, Math.max(limitMs, pullLimitMs), acknowledgements)
      if (!hasFailed(name)) await told
    })
    if (limitMs > 0 && awaited.length > 0) {
      // Who is not connected can't say when it has it: for that the whole time is given, and then it is named.
      await within(clock, limitMs, Promise.all(awaited), () => new Error('not all in time')).catch(
        () => undefined,
      )
    }
    return acknowledgements.report()
  }

  /** What another node sent: taken, or pulled when it does not fit; the answer says that it is applied here. */
  async receive(params: unknown): Promise<z.infer<typeof acknowledged>> {
    const { to, events } = pushed.parse(params)
    const { applier, self } = this.#parts
    const outcome = events.length > 0 ? applier.offer(events) : 'gap'
    if (outcome === 'gap') await applier.reach(to, pullLimitMs)
    const digest = applier.digestAt(to)
    if (digest === undefined) throw new Error(`position ${to} is past, and its digest not known any more`)
    return { life: self().life, position: to, digest }
  }

  /** Resolves when it has the change; does not when that can't be known, so that the limit of the wait counts. */
  async #tell(
    name: string,
    stamp: Stamp,
    events: readonly LogEvent[],
    timeoutMs: number,
    acknowledgements: Acknowledgements,
  ): Promise<void> {
    const target = this.#parts.target(name)
    if (!target) return new Promise(() => {})
    const fits = events.reduce((bytes, { body }) => bytes + body.length, 0) <= pushBytesMax
    const params = { to: stamp.position, events: fits ? events : [] }
    try {
      const answer = acknowledged.parse(await target.call(pushMethod, params, timeoutMs))
      const isOurs = answer.position === stamp.position && answer.digest === stamp.digest
      if (isOurs) return acknowledgements.note(name, answer.life)
      this.#parts.logger.warn('a node acknowledged another history', {
        member: name,
        position: stamp.position,
      })
    } catch (error) {
      this.#parts.logger.debug('a push was not acknowledged', { member: name, error, code: codeOf(error) })
    }
    return new Promise(() => {})
  }
}
