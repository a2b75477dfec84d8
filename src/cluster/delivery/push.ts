// A change travels from the node that made it straight to the others, and its acknowledgements come back.
import { z } from 'zod'
import type { Clock } from '../../base/clock.ts'
import { Counts } from '../../base/counts.ts'
import type { Logger } from '../../base/logger.ts'
import type { Position, Stamp } from '../../base/stamp.ts'
import type { LogEvent } from '../../event-log/event.ts'
import { Acknowledgements, type Delivered, type Recipient } from './acknowledgements.ts'

/** The follower of the log, as far as pushes need it. */
export interface Applier {
  offer(events: readonly LogEvent[]): 'applied' | 'known' | 'gap' | 'other-history'
  /** Pulls until `position` is applied. */
  reach(position: Position, limitMs: number, path: 'push'): Promise<void>
  /** The digest at the end of a transaction that was applied not long ago. */
  digestAt(position: Position): string | undefined
  /** Whether what happened at `stamp` is in what is applied, as far as that can be told; at once, if it is remembered. */
  holds(stamp: Stamp): boolean | Promise<boolean>
  applied(): Stamp
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
  /** Names of all nodes that there is an open connection to. */
  readonly connected: () => readonly string[]
  /** Whether a node may acknowledge soon: one that has failed or left, or that nobody knows, is named and not waited for. */
  readonly mayAnswer: (name: string) => boolean
  /** This node's own name and life. */
  readonly self: () => Pick<Recipient, 'name' | 'life'>
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

/** An event as it goes over the wire. */
export const loggedEvent = z.object({
  position: z.int().positive(),
  first: z.int().positive(),
  digest: z.string().length(64),
  body: z.string(),
})
/** Wire format: fields are only ever added. No events: pull, what was changed is too long for a frame. */
const pushed = z.object({ to: z.int().positive(), events: z.array(loggedEvent) })
const acknowledged = z.object({ life: z.int().nonnegative(), position: z.int(), digest: z.string() })

interface Message {
  readonly to: Position
  readonly events: readonly LogEvent[]
}

/** Beyond it the others are told to pull: below the transport's bound on frames, with room for what is around it. */
const pushBytesMax = 512 * 1024

/** Between looks at who is still worth waiting for, and between attempts to tell a node that could not be told. */
const lookIntervalMs = 25

/** Acknowledgements of others that counted, in time or late, and those that a write had waited for in vain. */
const pushCounterNames = ['acknowledged', 'missed'] as const
export type PushCounts = Readonly<Record<(typeof pushCounterNames)[number], number>>

/** A node that can't reach the datastore itself answers late; the writer does not wait for it as long. */
const pullLimitMs = 5000

export class Push {
  readonly #parts: PushParts
  readonly #counts = new Counts(pushCounterNames)

  constructor(parts: PushParts) {
    this.#parts = parts
  }

  /** Only ever rising. */
  counts(): PushCounts {
    return this.#counts.all()
  }

  /**
   * Sends what this node has committed and applied to all who must have it, and to whoever else is connected.
   * @param events   the transaction; empty when it is for the others to pull
   * @param limitMs  how long to wait; 0 does not
   * @returns        who has it by then; sooner when all have that may answer at all
   */
  async deliver(
    { stamp, recipients }: Change,
    events: readonly LogEvent[],
    limitMs: number,
  ): Promise<Delivered> {
    const { applier, clock, self, connected, mayAnswer } = this.#parts
    const acknowledgements = new Acknowledgements(recipients)
    const isHeld = applier.holds(stamp)
    const acknowledge = (held: boolean) => held && acknowledgements.note(self().name, self().life)
    if (typeof isHeld === 'boolean') acknowledge(isHeld)
    else void isHeld.then(acknowledge)
    const message = { to: stamp.position, events: fits(events) ? events : [] }
    const deadline = clock.monotonic() + Math.max(limitMs, pullLimitMs)
    const isWorthAWait = (name: string) => mayAnswer(name) || acknowledgements.lapses(name)
    for (const name of new Set([...acknowledgements.missing, ...connected()])) {
      void this.#tell(name, { message, stamp }, deadline, acknowledgements)
    }
    const start = clock.monotonic()
    const end = start + limitMs
    while (clock.monotonic() < end && acknowledgements.missing.some((name) => isWorthAWait(name))) {
      await Promise.race([clock.sleep(lookIntervalMs), acknowledgements.changed()])
      acknowledgements.lapse(clock.monotonic() - start)
    }
    if (limitMs > 0) this.#counts.add('missed', acknowledgements.missing.length)
    return acknowledgements.report()
  }

  /** What another node sent: taken, or pulled when it does not fit; the answer says that it is applied here. */
  async receive(params: unknown): Promise<z.infer<typeof acknowledged>> {
    const { to, events } = pushed.parse(params)
    const { applier, self } = this.#parts
    const outcome = events.length > 0 ? applier.offer(events) : 'gap'
    if (outcome === 'gap') await applier.reach(to, pullLimitMs, 'push')
    // A load may have gone past it: then what this node has applied says as much.
    const position = applier.digestAt(to) === undefined ? applier.applied().position : to
    return { life: self().life, position, digest: applier.digestAt(position) ?? applier.applied().digest }
  }

  /** Tells one node until it has acknowledged, or can't be expected to soon: once it is back, it asks for what it lacks. */
  async #tell(
    name: string,
    { message, stamp }: { readonly message: Message; readonly stamp: Stamp },
    deadline: number,
    acknowledgements: Acknowledgements,
  ): Promise<void> {
    const { clock, target, mayAnswer, logger } = this.#parts
    while (clock.monotonic() < deadline) {
      const peer = target(name)
      if (!peer && !mayAnswer(name)) return
      try {
        const answer = peer && (await peer.call(pushMethod, message, deadline - clock.monotonic()))
        if (
          answer !== undefined &&
          (await this.#judge(name, acknowledged.parse(answer), stamp, acknowledgements))
        )
          return
      } catch (error) {
        logger.debug('a push was not acknowledged', { member: name, error })
      }
      await clock.sleep(lookIntervalMs)
    }
  }

  /**
   * An acknowledgement counts if it is of this node's own history, at the change or after it, and the change is in that
   * history still: a datastore may have lost it, and may have gone on without it. That of the change itself
   * can be told even if this node has loaded everything anew since, and remembers no digest of what was before.
   * @returns  false when nothing can be said: the other is asked once more, and answers from where it is by then
   */
  async #judge(
    name: string,
    { life, position, digest }: z.infer<typeof acknowledged>,
    change: Stamp,
    acknowledgements: Acknowledgements,
  ): Promise<boolean> {
    const { applier, logger } = this.#parts
    // It may be ahead of this node: then this one can tell when it has got there.
    await applier.reach(position, pullLimitMs, 'push')
    const known = position === change.position ? change.digest : applier.digestAt(position)
    if (known === undefined && position > change.position) return false
    if (position < change.position || known !== digest || !(await applier.holds(change)))
      logger.warn('a node acknowledged another history', { member: name, position })
    else if (acknowledgements.note(name, life)) this.#counts.add('acknowledged')
    return true
  }
}

/** As long as the frame that it becomes, quotes and escapes included. */
function fits(events: readonly LogEvent[]): boolean {
  return Buffer.byteLength(JSON.stringify(events)) <= pushBytesMax
}
