// Tables for people, and for scripts that split lines at blanks: no cell is empty.
import { stripVTControlCharacters } from 'node:util'

export interface Column {
  readonly title: string
  /** Where shorter cells stand. Default left. */
  readonly align?: 'right'
}

/** Shows where nothing is known. */
export const unknownCell = '-'

/**
 * A line for each row, columns as wide as what they hold and two blanks apart.
 * @param rows     a cell for each column, perhaps coloured
 * @param heading  whether the titles are the first line
 */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { heading }: { readonly heading: boolean },
): string[] {
  const all = heading ? [columns.map(({ title }) => title), ...rows] : rows
  const widths = columns.map((_, i) => Math.max(0, ...all.map((cells) => shownWidth(cells[i] ?? ''))))
  const padded = (text: string, i: number) => {
    const blanks = ' '.repeat((widths[i] ?? 0) - shownWidth(text))
    return columns[i]?.align === 'right' ? blanks + text : text + blanks
  }
  return all.map((cells) => cells.map(padded).join('  ').trimEnd())
}

/** What a terminal shows of it, in characters: colours take no room. */
export function shownWidth(text: string): number {
  return stripVTControlCharacters(text).length
}
