import { expect } from 'chai'
import type { Row } from '../../../src/base/json.ts'
import { consumer } from '../../../src/entities/consumer.ts'
import { coreEntities } from '../../../src/entities/entities.ts'
import { keyauthCredential } from '../../../src/plugins/key-auth/credential.ts'
import { MemoryStore } from '../../../src/testing/memory-store.ts'

describe('a store in memory', () => {
  const told: [string, Row | null, Row | null][] = []
  const store = new MemoryStore({
    entities: [...coreEntities, keyauthCredential],
    onChange: ({ name }, old, next) => void told.push([name, old, next]),
  })
  let bob: Row
  before(async () => {
    bob = (await store.insert(consumer, { username: 'bob' }, null)).row
    await store.insert(keyauthCredential, { consumer_id: bob.id as string, key: 'k' }, null)
  })

  it('has every column of a row, null where it is unset', () => {
    expect(bob)
      .to.include({ username: 'bob', custom_id: null })
      .and.have.all.keys(Object.keys(consumer.fields))
  })

  it('holds apart what one row is looked up by, and what refers to a row that is not there', async () => {
    const refused = (row: Row) => store.insert(keyauthCredential, row, null).catch((error) => error)
    const twin = await refused({ consumer_id: bob.id as string, key: 'k' })
    expect(twin).to.include({ code: 'already-exists', attribute: 'key', value: 'k' })
    const orphan = await refused({ consumer_id: 'nobody', key: 'l' })
    expect(orphan).to.include({ code: 'does-not-exist', attribute: 'consumer_id', value: 'nobody' })
  })

  it('removes with a row what refers to it, and tells of that first', async () => {
    told.length = 0
    await store.remove(consumer, { username: 'bob' }, () => {}, null)
    expect(told.map(([name, , next]) => [name, next])).to.deep.equal([
      ['keyauth_credentials', null],
      ['consumers', null],
    ])
    expect(await store.count(keyauthCredential)).to.equal(0)
  })
})
