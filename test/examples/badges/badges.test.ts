import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Bench, startBench } from 'troop/testing'
import badges from './badges.ts'

/** A bench on which bob has the badge `b-1`. */
async function benchWithBob(): Promise<Bench> {
  const bench = await startBench({ plugins: [badges] })
  await bench.configure('badges')
  await bench.consumer('bob')
  const made = await bench.admin('POST', '/consumers/bob/badges', { code: 'b-1' })
  assert.equal(made.status, 201)
  return bench
}

test('who shows a badge is told upstream, whatever the client says of itself; the badge is not', async () => {
  await using bench = await benchWithBob()
  const headers = { Badge: 'b-1', 'X-Consumer-Username': 'root' }
  assert.equal((await bench.fetch('/', { headers })).status, 200)
  const seen = bench.upstream.seen.at(-1)
  assert.equal(seen?.headers['x-consumer-username'], 'bob')
  assert.equal(seen?.headers.badge, undefined)
})

for (const [what, headers] of [
  ['no badge', []],
  ['an unknown badge', [['Badge', 'b-2']]],
  [
    'two badges',
    [
      ['Badge', 'b-1'],
      ['Badge', 'b-2'],
    ],
  ],
] as [string, [string, string][]][]) {
  test(`${what}: 401, and how to show one`, async () => {
    await using bench = await benchWithBob()
    const { status, headers: told } = await bench.fetch('/', { headers })
    assert.deepEqual([status, told.get('www-authenticate')], [401, 'Badge realm="troop"'])
    assert.equal(bench.upstream.requests, 0)
  })
}

test('a badge that is taken away opens nothing any more', async () => {
  await using bench = await benchWithBob()
  await bench.admin('DELETE', '/consumers/bob')
  assert.equal((await bench.fetch('/', { headers: { Badge: 'b-1' } })).status, 401)
})

test('a badge of which nobody can tell whose it is makes a 503', async () => {
  await using bench = await benchWithBob()
  const remember = bench.forget()
  assert.equal((await bench.fetch('/', { headers: { Badge: 'b-1' } })).status, 503)
  remember()
  assert.equal((await bench.fetch('/', { headers: { Badge: 'b-1' } })).status, 200)
})

test('no two consumers have the same badge', async () => {
  await using bench = await benchWithBob()
  await bench.consumer('alice')
  const twin = await bench.admin('POST', '/consumers/alice/badges', { code: 'b-1' })
  assert.deepEqual([twin.status, twin.body], [409, { code: "already exists with value 'b-1'" }])
})
