// What plugins have written: from a worker's end of the port to the store, and the answer back.
import { MessageChannel } from 'node:worker_threads'
import { expect } from 'chai'
import { silentLogger } from '../../../src/base/logger.ts'
import { consumer } from '../../../src/entities/consumer.ts'
import { rowWriter } from '../../../src/node/row-writer.ts'
import { serveWriting, writingOver } from '../../../src/node/writing-link.ts'
import type { Writer } from '../../../src/plugins/plugin.ts'
import type { Written } from '../../../src/store/store.ts'
import { MemoryStore } from '../../support/memory-store.ts'

describe('what plugins write', () => {
  let store: MemoryStore
  let published: Written[]
  let writer: Writer
  let close: () => void

  beforeEach(async () => {
    store = new MemoryStore()
    published = []
    const update = rowWriter({
      store,
      entities: () => [consumer],
      publish: async (written) => void published.push(written),
      logger: silentLogger,
    })
    const { port1, port2 } = new MessageChannel()
    serveWriting(port1, update)
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
    expect(published.map(({ row }) => row.custom_id)).deep.equal(['2'])
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
    const unknown = { ...consumer, name: 'unheard_of' }
    const refused = await writer.update(unknown, {}, {}).catch((error) => error)
    expect(refused.message).match(/unheard_of/)
  })
})
