// The members of the cluster as lines, and which of these are news.
import type { MemberPosition } from '../../src/control/control.ts'
import { agoCell, countCell, statusCell } from '../cells.ts'
import type { Paint } from '../printer.ts'
import { type Column, tableLines } from '../table.ts'

/** The first three are those of 0.8, which scripts read. */
const columns: readonly Column[] = [
  { title: 'name' },
  { title: 'address' },
  { title: 'status' },
  { title: 'applied', align: 'right' },
  { title: 'lag', align: 'right' },
  { title: 'last seen' },
]

/** A line for each member. */
export function memberLines(
  members: readonly MemberPosition[],
  { heading, paint }: { readonly heading: boolean; readonly paint: Paint },
): string[] {
  const rows = members.map(({ name, address, status, applied, lag, silentMs }) => [
    name,
    address,
    statusCell(status, paint),
    countCell(applied),
    countCell(lag),
    agoCell(silentMs),
  ])
  return tableLines(columns, rows, { heading })
}

/** Tells which members are not as they were when it was asked before; at first all are news. */
export class MemberNews {
  #known: ReadonlyMap<string, MemberPosition> = new Map()

  /**
   * @param wanted  a state: members that come to it or go from it are news, others are not. Undefined: all are.
   * @returns       with address and status as they are now; `gone` is the status of one that is not listed any more
   */
  of(members: readonly MemberPosition[], wanted: string | undefined): MemberPosition[] {
    const before = this.#known
    this.#known = new Map(members.map((member) => [member.name, member]))
    const gone = [...before.values()].filter(({ name }) => !this.#known.has(name))
    return [...members, ...gone.map((member) => ({ ...member, status: 'gone' }))].filter((member) => {
      const known = before.get(member.name)
      const isNews = known?.status !== member.status || known.address !== member.address
      return isNews && (wanted === undefined || [known?.status, member.status].includes(wanted))
    })
  }
}
