// What a node found when it held what it serves against the datastore, in words.
import type { Audits } from '../../src/control/control.ts'

type Answer = Audits[string]

export function isRight(answer: Answer): boolean {
  return 'value' in answer && answer.value.wrong.length === 0
}

/** What was checked and what came of it, on one line; what was wrong, each on a line of its own. */
export function describeAudit(answer: Answer): {
  readonly text: string
  readonly details: readonly string[]
} {
  if ('error' in answer) return { text: `no report: ${answer.error}`, details: [] }
  const { position, checked, unsettled = 0, wrong, repaired } = answer.value
  const parts = [
    `${counted(checked.entries, 'entry', 'entries')} of the node`,
    `${counted(checked.workerEntries, 'entry', 'entries')} of its workers`,
    counted(checked.rows, 'row', 'rows'),
  ]
  const found = wrong.reduce((sum, { count }) => sum + count, 0)
  const outcome = found === 0 ? 'all right' : `${found} wrong, ${repaired} of them repaired`
  const open = unsettled === 0 ? '' : `; ${unsettled} changed too often to be compared`
  return {
    text: `checked ${parts.join(', ')} at position ${position}: ${outcome}${open}`,
    details: wrong.map(({ where, family, count }) => `${where}: ${count} of ${family}`),
  }
}

function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`
}
