// Masks words in texts that upstreams answer, line by line as they pass.
import { definePlugin } from 'troop'

/** So much of a text without line breaks is waited for. */
const lineMax = 64 * 1024

export default definePlugin({
  name: 'masking',
  priority: 800,
  config: {
    words: { type: 'array', required: true, example: ['secret'], help: 'what is masked, by so many *' },
  },
  phases: {
    headers(response, config) {
      if (!response.headers.get('Content-Type')?.startsWith('text/')) return
      response.pipeBody((body) => maskedLines(body, config.words))
    },
  },
})

/** A body comes in pieces that are cut anywhere, within a character as well. */
async function* maskedLines(body: AsyncIterable<Buffer>, words: readonly string[]): AsyncGenerator<Buffer> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const piece of body) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split(/(?<=\n)/)
    rest = lines.at(-1)?.endsWith('\n') ? '' : (lines.pop() ?? '')
    // Thrown now, it cuts the answer off: better than to let pass what was to be masked.
    if (rest.length > lineMax) throw new Error(`a line is longer than ${lineMax} characters`)
    yield Buffer.from(masked(lines.join(''), words))
  }
  yield Buffer.from(masked(rest + decoder.decode(), words))
}

function masked(text: string, words: readonly string[]): string {
  return words.reduce((text, word) => text.replaceAll(word, '*'.repeat(word.length)), text)
}
