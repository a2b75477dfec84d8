// The members of the local cluster, as a person at the terminal is shown them.
import type { NodeChild } from './node-child.ts'

/** A node that is paused accepts connections and never answers. */
const answerLimitMs = 1000

interface Listed {
  readonly data: readonly { readonly address: string; readonly status: string }[]
}

/** One line with each member's state, by the first node that answers; undefined when none does. */
export async function membersOf(children: readonly NodeChild[]): Promise<string | undefined> {
  for (const { admin } of children) {
    try {
      const response = await fetch(`${admin}/cluster`, { signal: AbortSignal.timeout(answerLimitMs) })
      const { data } = (await response.json()) as Listed
      return `members: ${data.map(({ address, status }) => `${address} ${status}`).join(', ')}`
    } catch {
      // It was ended, perhaps on purpose: the next one knows.
    }
  }
  return undefined
}
