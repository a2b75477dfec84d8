// What `troop dev` shows: on a terminal a table below all else that is always up to date, elsewhere lines on what changes.
import type { DevScreen } from '../src/dev/dev.ts'
import { agoCell, countCell, statusCell, tookCell } from './cells.ts'
import { LiveLines } from './live-lines.ts'
import { type Paint, paintFor } from './printer.ts'
import { type Column, tableLines, unknownCell } from './table.ts'

export type NodeView = Parameters<DevScreen['show']>[0][number]

export function devScreen(stream: NodeJS.WriteStream): DevScreen {
  return stream.isTTY ? new TerminalScreen(stream) : new PlainScreen(stream)
}

export class TerminalScreen implements DevScreen {
  readonly #lines: LiveLines
  readonly #paint: Paint

  constructor(terminal: NodeJS.WriteStream) {
    this.#lines = new LiveLines(terminal)
    this.#paint = paintFor(terminal)
  }

  print(line: string): void {
    this.#lines.print(line)
  }

  show(nodes: readonly NodeView[]): void {
    const rows = nodes.map((node) => this.#row(node))
    this.#lines.show(rows.length === 0 ? [] : ['', ...tableLines(columns, rows, { heading: true })])
  }

  #row({ number, proxy, admin, pid, status, applied, lag, change }: NodeView): string[] {
    return [
      String(number),
      portOf(proxy),
      portOf(admin),
      countCell(pid),
      status === undefined ? unknownCell : statusCell(status, this.#paint),
      countCell(applied),
      countCell(lag),
      agoCell(change?.agoMs),
      change ? `${change.path} ${tookCell(change.tookMs)}` : unknownCell,
    ]
  }
}

/** Narrow enough for a terminal of 80 columns; all ports are of the loopback interface. */
const columns: readonly Column[] = [
  { title: 'node' },
  { title: 'proxy' },
  { title: 'admin' },
  { title: 'process' },
  { title: 'status' },
  { title: 'applied', align: 'right' },
  { title: 'lag', align: 'right' },
  { title: 'last change' },
  { title: 'came by' },
]

function portOf(url: string): string {
  return `:${new URL(url).port}`
}

export class PlainScreen implements DevScreen {
  readonly #stream: NodeJS.WritableStream
  /** By the node's number. */
  readonly #shown = new Map<number, string>()

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream
  }

  print(line: string): void {
    this.#stream.write(`${line}\n`)
  }

  show(nodes: readonly NodeView[]): void {
    for (const { number, pid, status, applied, lag, change } of nodes) {
      const state = [
        status ?? 'not known',
        pid === undefined ? 'no process' : `process ${pid}`,
        `applied ${countCell(applied)}`,
        `lag ${countCell(lag)}`,
      ].join(', ')
      if (this.#shown.get(number) === state) continue
      this.#shown.set(number, state)
      this.print(`node ${number}: ${state}${change ? `, ${change.path} ${tookCell(change.tookMs)}` : ''}`)
    }
  }
}
