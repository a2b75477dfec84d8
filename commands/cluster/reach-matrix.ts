// Which node reaches which, as lines.
import type { Reach } from '../../src/control/control.ts'
import { tookCell } from '../cells.ts'
import type { Paint } from '../printer.ts'
import { type Column, tableLines } from '../table.ts'

/** As many columns as a terminal has room for; with more nodes there is a line for each instead. */
const matrixNodesMax = 10

/** A direction of a pair in which no answer came. */
export interface BrokenLink {
  readonly from: string
  readonly to: string
  readonly why: string
}

export function brokenLinks(reaches: readonly Reach[]): BrokenLink[] {
  return reaches.flatMap(({ name: from, links }) =>
    links
      .filter(({ roundTripMs }) => roundTripMs === null)
      .map(({ to, error = 'it does not answer' }) => ({ from, to, why: error })),
  )
}

/** The nodes by number, then the round trips between them: of every pair, or in brief where there are many nodes. */
export function reachLines(reaches: readonly Reach[], paint: Paint): string[] {
  if (reaches.length > matrixNodesMax) return briefLines(reaches, paint)
  const nodes = reaches.map(({ name, address }, i) => [String(i + 1), name, address])
  const nodeColumns: readonly Column[] = [
    { title: 'node', align: 'right' },
    { title: 'name' },
    { title: 'address' },
  ]
  return [...tableLines(nodeColumns, nodes, { heading: true }), '', ...matrixLines(reaches, paint)]
}

function matrixLines(reaches: readonly Reach[], paint: Paint): string[] {
  const columns = ['from', ...reaches.map((_, i) => `to ${i + 1}`)].map(
    (title): Column => ({ title, align: 'right' }),
  )
  const rows = reaches.map(({ name, links }, i) => [
    String(i + 1),
    ...reaches.map((other) => {
      if (other.name === name) return '·'
      const { roundTripMs = null } = links.find(({ to }) => to === other.name) ?? {}
      return roundTripMs === null ? paint('red', 'fails') : tookCell(roundTripMs)
    }),
  ])
  return tableLines(columns, rows, { heading: true })
}

function briefLines(reaches: readonly Reach[], paint: Paint): string[] {
  const columns: readonly Column[] = [
    { title: 'name' },
    { title: 'address' },
    { title: 'reaches', align: 'right' },
    { title: 'median', align: 'right' },
    { title: 'slowest', align: 'right' },
  ]
  const rows = reaches.map(({ name, address, links }) => {
    const times = links.flatMap(({ roundTripMs }) => roundTripMs ?? []).sort((a, b) => a - b)
    const reached = `${times.length} of ${links.length}`
    return [
      name,
      address,
      times.length < links.length ? paint('red', reached) : reached,
      tookCell(times[Math.floor(times.length / 2)]),
      tookCell(times.at(-1)),
    ]
  })
  return tableLines(columns, rows, { heading: true })
}
