// Now and then a node looks at the rows of all: it meets those that it does not know yet, takes away those that are
// gone for good, and notices when the others can't know where it is.
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Position, Stamp } from '../../base/stamp.ts'
import { LoopbackAdvertised } from '../errors.ts'
import { Absences } from './absences.ts'
import type { MemberStatus } from './member.ts'
import { beyondReach } from './registration.ts'
import type { NodeIdentity, RegisteredNode, Registry } from './registry.ts'

export interface RoundsParts {
  readonly registry: Pick<Registry, 'rows' | 'removeExpired'>
  readonly log: { head(): Promise<Stamp> }
  readonly self: () => NodeIdentity | undefined
  readonly statusOf: (name: string) => MemberStatus | undefined
  /** The rows, read when the log had come to `asOf` at least. */
  readonly reconcile: (rows: readonly RegisteredNode[], asOf: Position) => void
  readonly clock: Clock
  readonly logger: Logger
}

/** Nodes that start together may not see each other at first: the datastore is asked this often … */
const youngIntervalMs = 3000
/** … for so long after the start, and after that as often as a heartbeat is written. */
const youngMs = 60_000
const intervalMs = 10_000

export class Rounds {
  readonly #parts: RoundsParts
  readonly #absences = new Absences()
  /** Since when the datastore has answered each time. */
  #contactSinceMs: number | undefined
  #isStranded = false

  constructor(parts: RoundsParts) {
    this.#parts = parts
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts
    const startMs = clock.monotonic()
    while (!signal.aborted) {
      await this.round()
      const isYoung = clock.monotonic() - startMs < youngMs
      await clock.sleep(isYoung ? youngIntervalMs : intervalMs, signal)
    }
  }

  /** One look. Never throws. */
  async round(): Promise<void> {
    const { log, registry, reconcile, logger, clock } = this.#parts
    try {
      const { position } = await log.head()
      const rows = await registry.rows()
      this.#contactSinceMs ??= clock.monotonic()
      this.#absences.note(rows, clock.monotonic())
      reconcile(rows, position)
      this.#noteReach(rows)
      await this.#removeExpired(rows)
    } catch (error) {
      this.#contactSinceMs = undefined
      this.#absences.forget()
      logger.debug('could not look at the rows of the nodes', { error })
    }
  }

  /** Whether a node whose row has expired is gone, as far as can be told from here. */
  isGone(node: Pick<RegisteredNode, 'name' | 'life'>): boolean {
    const { statusOf, clock } = this.#parts
    return statusOf(node.name) !== 'alive' && this.#absences.isProven(node, clock.monotonic())
  }

  /**
   * A row that has expired is of a node that is gone, or that can't reach the datastore; this node might as well be the
   * one that was cut off, so it must have been in contact for as long as rows live.
   */
  async #removeExpired(rows: readonly RegisteredNode[]): Promise<void> {
    const { registry, self, statusOf, clock, logger } = this.#parts
    const ttlMs = (self()?.ttlSeconds ?? Number.POSITIVE_INFINITY) * 1000
    if (clock.monotonic() - (this.#contactSinceMs ?? Number.POSITIVE_INFINITY) < ttlMs) return
    const gone = rows
      .filter(({ name, expired }) => expired && statusOf(name) !== 'alive')
      .map(({ name }) => name)
    if (gone.length === 0) return
    await registry.removeExpired(gone)
    logger.info('rows of nodes that are gone were removed', { nodes: gone })
  }

  #noteReach(rows: readonly RegisteredNode[]): void {
    const identity = this.#parts.self()
    const stranded = identity && beyondReach(identity, rows)
    if (stranded && !this.#isStranded) {
      const error = new LoopbackAdvertised(identity.address, stranded.name)
      this.#parts.logger.error('other nodes cannot reach this one', { error, hint: error.hint })
    }
    this.#isStranded = stranded !== undefined
  }
}
