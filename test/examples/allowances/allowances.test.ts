import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Bench, startBench } from 'troop/testing'
import allowances from './allowances.ts'

/** A bench where callers are known by key-auth: bob by the key `bob`, and so on. */
async function benchFor(...consumers: string[]): Promise<Bench> {
  const bench = await startBench({ plugins: [allowances] })
  bench.clock.set('2026-11-26T12:00:00Z')
  await bench.configure('allowances', { per_minute: 1 })
  if (consumers.length > 0) await bench.configure('key-auth')
  for (const name of consumers) {
    await bench.consumer(name)
    await bench.admin('POST', `/consumers/${name}/key-auth`, { key: name })
  }
  return bench
}

const call = (bench: Bench, key: string) => bench.fetch('/', { headers: { apikey: key } })

test('each consumer has what the configuration says, and again in the next minute', async () => {
  await using bench = await benchFor('bob', 'eve')
  const statuses: number[] = []
  for (const key of ['bob', 'bob', 'eve']) statuses.push((await call(bench, key)).status)
  assert.deepEqual(statuses, [200, 429, 200])
  bench.clock.advance(60_000)
  assert.equal((await call(bench, 'bob')).status, 200)
})

test('an allowance of its own counts from the next request on, and until it is taken away', async () => {
  await using bench = await benchFor('bob')
  const made = await bench.admin('POST', '/consumers/bob/allowances', { per_minute: 2 })
  assert.equal(made.status, 201)
  const left: (string | null)[] = []
  for (let i = 0; i < 3; i++) left.push((await call(bench, 'bob')).headers.get('x-allowance-left'))
  assert.deepEqual(left, ['1', '0', '0'])
  await bench.admin('PATCH', `/consumers/bob/allowances/${made.body.id}`, { per_minute: 3 })
  assert.equal((await call(bench, 'bob')).status, 200)
  await bench.admin('DELETE', `/consumers/bob/allowances/${made.body.id}`)
  assert.equal((await call(bench, 'bob')).status, 429)
})

test('an allowance is a positive number, and each consumer has one at the most', async () => {
  await using bench = await benchFor('bob')
  const write = (body: { per_minute: number }) => bench.admin('POST', '/consumers/bob/allowances', body)
  const wrong = await write({ per_minute: 0 })
  assert.deepEqual([wrong.status, wrong.body], [400, { per_minute: 'must be positive' }])
  assert.equal((await write({ per_minute: 1 })).status, 201)
  assert.equal((await write({ per_minute: 2 })).status, 409)
})

test('callers that nobody knows are counted by their address', async () => {
  await using bench = await benchFor()
  const statuses = [(await bench.fetch('/')).status, (await bench.fetch('/')).status]
  assert.deepEqual(statuses, [200, 429])
})
