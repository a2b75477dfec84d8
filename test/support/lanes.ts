// The two ways in which requests over HTTP/1.1 are read. What is claimed of one must hold in the other; see ways.ts for what
// must hold over HTTP/2, too.

export const lanes = ['fast', 'ordinary'] as const
export type Lane = (typeof lanes)[number]

/** The suite once in each lane; in the fast one requests take the ordinary lane where they are not plain. */
export function inEachLane(title: string, suite: (lane: Lane) => void): void {
  for (const lane of lanes) describe(`${title}, ${lane} lane`, () => suite(lane))
}
