import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { type Bench, startBench } from 'troop/testing'
import masking from './masking.ts'

async function benchWithMasking(print?: (text: string) => void): Promise<Bench> {
  const bench = await startBench({ plugins: [masking], ...(print && { print }) })
  await bench.configure('masking', { words: ['secret', 'größe'] })
  return bench
}

test('words are masked, wherever the pieces of the body are cut', async () => {
  await using bench = await benchWithMasking()
  bench.upstream.answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' })
    for (const byte of Buffer.from('a secret\nof some größe')) response.write(Buffer.of(byte))
    response.end()
  }
  assert.equal(await (await bench.fetch('/')).text(), 'a ******\nof some *****')
})

test('a line is passed on before the next one has come', async () => {
  await using bench = await benchWithMasking()
  const { promise: isRead, resolve } = Promise.withResolvers<void>()
  bench.upstream.answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: secret\n')
    void isRead.then(() => response.end('data: done\n'))
  }
  const lines: string[] = []
  for await (const piece of (await bench.fetch('/')).body ?? []) {
    lines.push(Buffer.from(piece).toString())
    resolve()
  }
  assert.deepEqual(lines, ['data: ******\n', 'data: done\n'])
})

test('a coded text is masked, too', async () => {
  await using bench = await benchWithMasking()
  bench.upstream.answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain', 'content-encoding': 'gzip' })
    response.end(gzipSync('secret'))
  }
  assert.equal(await (await bench.fetch('/')).text(), '******')
})

test('what is no text passes as it is', async () => {
  await using bench = await benchWithMasking()
  bench.upstream.answer = (_request, response) => void response.end('secret')
  assert.equal(await (await bench.fetch('/')).text(), 'secret')
})

test('an answer with a line that is too long is cut off, and the log says why', async () => {
  const told: string[] = []
  await using bench = await benchWithMasking((text) => void told.push(text))
  bench.upstream.answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' }).end(Buffer.alloc(200_000, 'x'))
  }
  await assert.rejects((await bench.fetch('/')).text())
  assert.match(told.join(), /a line is longer than 65536 characters/)
})
