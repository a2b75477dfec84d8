// How the descriptors that a process may hold are divided: one for each connection of a client, one for that of its
// request to the upstream, and the rest for the node itself: the datastore, other nodes, the Admin API, files.

/** Beyond it a worker is slow before it is short of descriptors. */
export const connectionsMost = 16_384

/** A node that takes fewer in all is hardly what was meant. */
export const connectionsFew = 1024

/** What the node needs for itself: a quarter, but not less than it takes to run at all. */
function reserveOf(filesMax: number, workers: number, poolSize: number): number {
  const leastOfAll = 64 + 8 * workers + poolSize
  return Math.max(Math.ceil(filesMax / 4), leastOfAll)
}

/**
 * Connections of clients that there is room for, for each worker.
 * @param filesMax  undefined where there is no limit, or none can be seen
 */
export function roomForConnections(filesMax: number | undefined, workers: number, poolSize: number): number {
  if (filesMax === undefined) return Number.POSITIVE_INFINITY
  return Math.max(1, Math.floor((filesMax - reserveOf(filesMax, workers, poolSize)) / 2 / workers))
}
