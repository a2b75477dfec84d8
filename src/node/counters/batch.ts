// What a worker asks of the agent to count for all nodes, and what comes back. Many requests are one ask, and many
// asks are one batch.

export interface BatchAsk {
  /** The table that counts; see plugins/counter-table.ts. */
  readonly table: string
  readonly api: string
  readonly identifier: string
  /** For each period, short ones first; null where there is no limit. */
  readonly limits: readonly (number | null)[]
  /** Requests to be counted as far as the limits allow. */
  readonly wanted: number
  /** Requests that were let through already: counted before those, whatever the limits say. */
  readonly forced: number
}

export interface BatchAnswer {
  /** How many of those that were wanted are counted. */
  readonly granted: number
  /** Requests counted in the current window of each period, these among them. */
  readonly used: readonly number[]
  /** How long each of these windows goes on. */
  readonly leftMs: readonly number[]
}

/**
 * Counts a batch; answers in the same order.
 * @throws {CountersAway} when it could not be counted, or it is not known whether it was
 */
export type CountBatch = (asks: readonly BatchAsk[]) => Promise<readonly BatchAnswer[]>
