// How far every member is, as lines.
import type { ClusterPositions } from '../../src/control/control.ts'
import { agoCell, countCell, tookCell } from '../cells.ts'
import { type Column, tableLines } from '../table.ts'

/** Ways on which a change comes to a node, in the order in which they are tried. */
const paths = ['write', 'push', 'notify', 'pull', 'peer'] as const

const columns: readonly Column[] = [
  { title: 'name' },
  { title: 'applied', align: 'right' },
  { title: 'lag', align: 'right' },
  { title: 'up to date', align: 'right' },
  ...paths.map((title): Column => ({ title, align: 'right' })),
]

/** The head of the log, then a table with a line for each member. */
export function positionLines({ head, digest, members }: ClusterPositions): string[] {
  const rows = members.map(({ name, applied, lag, freshnessMs, propagationMs }) => [
    name,
    countCell(applied),
    countCell(lag),
    agoCell(freshnessMs),
    ...paths.map((path) => tookCell(propagationMs[path])),
  ])
  return [`head ${head}, digest ${digest}`, '', ...tableLines(columns, rows, { heading: true })]
}
