// What plugins have written: from a worker's end of the port to the store, and the answer back.
import { MessageChannel } from 'node:worker_threads'
import { expect } from 'chai'
import { silentLogger } from '../../../src/base/logger.ts'
import { consumer } from '../../../src/entities/consumer.ts'
import { commonFields, defineEntity } from '../../../src/entities/define.ts'
import { rowWriter } from '../../../src/node/row-writer.ts'
import { serveWriting, writingOver } from '../../../src/node/writing-link.ts'
import type { Writer } from '../../../src/plugins/plugin.ts'
import type { Written } from '../../../src/store/store.ts'
import { MemoryStore } from '../../../src/testing/memory-store.ts'

const code = defineEntity({
  name: 'codes',
  fields: { ...commonFields, code: { type: 'string' }, custom_id: { type: 'string' } },
  lookups: [],
  logged: false,
})

describe('what plugins write', () => {
  let store: MemoryStore
  let published: { row: Written['row']; waitMs: number }[]
  let publishing: Promise<unknown>
  let writer: Writer
  let close: () => void

  beforeEach(async () => {
    store = new MemoryStore()
    published = []
    publishing = Promise.resolve()
    const rows = rowWriter({
      store,
      entities: () => [consumer, code],
      publish: ({ row }, waitMs) => {
        published.push({ row, waitMs })
        return publishing
      },
      ackTimeoutMs: () => 700,
      logger: silentLogger,
    })
    const { port1, port2 } = new MessageChannel()
    serveWriting(port1, rows)
    writer = writingOver(port2)
    close = () => port1.close()
    await store.insert(consumer, { username: 'bob', custom_id: '1' }, null)
    await store.insert(consumer, { username: 'ann', custom_id: '9' }, null)
  })
  afterEach(() => close())

  const names = () => store.rows('consumers').map(({ username, custom_id }) => `${username} ${custom_id}`)

  it('changes what it names of the row that has all of what it asks for, and is made known', async () => {
    expect(await writer.update(consumer, { username: 'bob', custom_id: '1' }, { custom_id: '2' })).equal(true)
    expect(names()).deep.equal(['bob 2', 'ann 9'])
    expect(published.map(({ row, waitMs }) => [row.custom_id, waitMs])).deep.equal([['2', 0]])
  })

  it('makes a row, which other nodes have when it is answered', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    publishing = promise
    let answered = false
    const made = writer.insert(consumer, { username: 'eve' }).then((row) => {
      answered = true
      return row
    })
    // Asked after it, and answered before.
    await writer.update(consumer, { username: 'ann' }, {})
    expect([answered, published[0]?.waitMs]).deep.equal([false, 700])
    resolve()
    const row = await made
    expect(row).include({ username: 'eve' })
    expect(row.id).match(/^[0-9a-f-]{36}$/)
  })

  it('makes a row although nobody could be told of it', async () => {
    publishing = Promise.reject(new Error('away'))
    publishing.catch(() => {})
    expect(await writer.insert(consumer, { username: 'eve' })).include({ username: 'eve' })
  })

  it('gives a row for another, once, with what both have; and tells nobody of what nobody caches', async () => {
    await writer.insert(code, { custom_id: '7', code: 'secret' })
    expect(published).deep.equal([])
    const give = () => writer.exchange(code, { code: 'secret' }, consumer, { username: 'eve' })
    const row = await give()
    expect(row).include({ username: 'eve', custom_id: '7' }).not.have.property('code')
    expect(await give()).equal(null)
    expect(store.rows('codes')).deep.equal([])
    expect(published).deep.equal([{ row, waitMs: 700 }])
  })

  it('changes nothing where no row has all of it', async () => {
    expect(await writer.update(consumer, { username: 'bob', custom_id: '2' }, { custom_id: '3' })).equal(
      false,
    )
    expect([names(), published]).deep.equal([['bob 1', 'ann 9'], []])
  })

  it('is answered each for itself, and fails with what the store says', async () => {
    const update = (name: string) => writer.update(consumer, { username: name }, { custom_id: name })
    expect(await Promise.all([update('eve'), update('ann'), update('bob')])).deep.equal([false, true, true])
    store.failure = new Error('the datastore is away')
    const error = await update('bob').catch((error) => error)
    expect([error.code, error.message]).deep.equal(['write-failed', 'the datastore is away'])
    store.failure = undefined
    const taken = await writer.insert(consumer, { username: 'bob' }).catch((error) => error)
    expect([taken.code, taken.reason]).deep.equal(['write-failed', 'already-exists'])
    const unknown = { ...consumer, name: 'unheard_of' }
    const refused = await writer.update(unknown, {}, {}).catch((error) => error)
    expect(refused.message).match(/unheard_of/)
  })
})
