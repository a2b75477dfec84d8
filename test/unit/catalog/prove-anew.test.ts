import { expect } from 'chai'
import type { Changes } from '../../../src/catalog/audience.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { api, byKey, create, credential, makeWorld, remove, rowOf, settle } from './world.ts'

describe('a catalog that proves what it holds anew', () => {
  const loaded = async () => {
    const clock = new ManualClock()
    const world = makeWorld({ clock })
    world.datastore.commit(create(api, rowOf(1, { name: 'a' })), create(api, rowOf(2, { name: 'b' })))
    world.datastore.commit(create(credential, rowOf(3, { key: 'k', consumer_id: null })))
    await world.follower.load('start')
    const purges: number[] = []
    const changes: Changes[] = []
    world.catalog.attach({
      seed() {},
      change: (change) => changes.push(change),
      purge: (position) => purges.push(position),
      forget() {},
    })
    return { ...world, clock, purges, changes }
  }

  it('counts its entries as absent at once, and reads each again once', async () => {
    const { catalog, datastore } = await loaded()
    await catalog.find(credential, byKey, ['k'])
    catalog.proveAnew()
    expect(catalog.read('keyauth_credentials:k')).to.equal(undefined)
    datastore.answers = undefined
    const [one, two] = [catalog.find(credential, byKey, ['k']), catalog.find(credential, byKey, ['k'])]
    await settle()
    expect(datastore.questions).to.have.length(1)
    await datastore.questions[0]?.answer()
    expect((await one).value)
      .to.include({ key: 'k' })
      .and.to.equal((await two).value)
  })

  it('lets purged entries stand in at once while the datastore is known to be away, and asks it nothing', async () => {
    const { catalog, datastore } = await loaded()
    await catalog.find(credential, byKey, ['k'])
    catalog.proveAnew()
    datastore.isAway = true
    datastore.answers = undefined
    const found = await catalog.find(credential, byKey, ['k'])
    expect(found).to.deep.include({ standIn: true }).and.to.have.nested.property('value.key', 'k')
    const unknown = await catalog.find(credential, byKey, ['other']).catch((error) => error.code)
    expect(unknown).to.equal('unknown')
    expect(datastore.questions).to.have.length(0)
  })

  it('lets a purged entry stand in for an answer that takes too long', async () => {
    const { catalog, datastore, clock } = await loaded()
    await catalog.find(credential, byKey, ['k'])
    catalog.proveAnew()
    datastore.answers = undefined
    const found = catalog.find(credential, byKey, ['k'])
    await settle()
    clock.advance(5000)
    expect((await found).standIn).to.equal(true)
  })

  it('purges once for all joins within a second of a purge, and after the last of them', async () => {
    const { catalog, clock, purges, datastore, follower } = await loaded()
    catalog.proveAnew()
    expect(purges).to.deep.equal([3])
    clock.advance(400)
    catalog.proveAnew()
    clock.advance(400)
    datastore.commit(create(credential, rowOf(4, { key: 'l', consumer_id: null })))
    follower.apply()
    catalog.proveAnew()
    expect(purges).to.have.length(1)
    clock.advance(200)
    expect(purges).to.deep.equal([3, 4])
    clock.advance(1000)
    catalog.proveAnew()
    expect(purges).to.deep.equal([3, 4, 4])
  })

  it('purges nothing for joins before all was loaded anew, which proves more', async () => {
    const { catalog, clock, purges } = await loaded()
    catalog.proveAnew()
    clock.advance(400)
    catalog.proveAnew()
    await catalog.load('reset')
    clock.advance(1000)
    expect(purges).to.deep.equal([3])
    catalog.proveAnew()
    expect(purges).to.deep.equal([3, 3])
  })

  it('changes no row that is what the datastore has, whatever was applied while it read', async () => {
    const { catalog, datastore, follower, changes } = await loaded()
    const [row] = catalog.rows(api)
    catalog.proveAnew()
    datastore.commit(remove(api, rowOf(2, { name: 'b' })), create(api, rowOf(5, { name: 'c' })))
    follower.apply()
    await settle()
    await settle()
    expect(changes).to.have.length(1)
    expect(catalog.rows(api).map(({ name }) => name)).to.deep.equal(['a', 'c'])
    expect(catalog.rows(api)[0]).to.equal(row)
  })

  it('mends nothing by what a datastore has that has lost its newest changes, and loads all anew', async () => {
    const { catalog, datastore, follower, changes } = await loaded()
    datastore.commit(create(api, rowOf(6, { name: 'lost' })))
    follower.apply()
    changes.length = 0
    datastore.rewind(3, 'another history')
    catalog.proveAnew()
    await settle()
    await settle()
    await follower.loaded()
    expect(follower.resets).to.deep.equal(['other-history'])
    expect(changes).to.deep.equal([])
    expect(catalog.rows(api).map(({ name }) => name)).to.deep.equal(['a', 'b'])
  })

  it('mends nothing by what was read before what is loaded meanwhile', async () => {
    const { catalog, datastore, follower, changes } = await loaded()
    const scan = datastore.scan.bind(datastore)
    const [asked, told] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    // The load's question comes late to the datastore, and the answer to the other one late from there.
    datastore.scan = async (entity, take) => {
      datastore.scan = async (entity, take) => {
        const found = await scan(entity, take)
        await told.promise
        return found
      }
      await asked.promise
      return scan(entity, take)
    }
    const loading = follower.load('other-history')
    await settle()
    catalog.proveAnew()
    await settle()
    await settle()
    datastore.commit(create(api, rowOf(7, { name: 'newer' })))
    asked.resolve()
    await loading
    told.resolve()
    await settle()
    await settle()
    expect(changes).to.deep.equal([])
    expect(catalog.rows(api).map(({ name }) => name)).to.include('newer')
  })

  it('replaces a row that is not what the datastore has, here and in every worker', async () => {
    const { catalog, datastore, changes } = await loaded()
    // As a fault would leave it: changed without an event.
    const scan = datastore.scan.bind(datastore)
    datastore.scan = (entity, take) =>
      scan(entity, (rows) => take(rows.map((row) => (row.name === 'a' ? { ...row, name: 'mended' } : row))))
    catalog.proveAnew()
    await settle()
    await settle()
    expect(catalog.rows(api).map(({ name }) => name)).to.deep.equal(['mended', 'b'])
    expect(changes.flatMap(({ patches }) => patches)).to.have.length(1)
  })

  it('drops a row that the datastore does not have, and keeps one that came while it was read', async () => {
    const { catalog, datastore, follower, changes } = await loaded()
    const scan = datastore.scan.bind(datastore)
    datastore.scan = (entity, take) => scan(entity, (rows) => take(rows.filter(({ name }) => name !== 'b')))
    catalog.proveAnew()
    datastore.commit(create(api, rowOf(8, { name: 'new' })))
    follower.apply()
    await settle()
    await settle()
    expect(catalog.rows(api).map(({ name }) => name)).to.deep.equal(['a', 'new'])
    expect(changes.at(-1)?.patches).to.deep.equal([{ id: rowOf(2, {}).id, row: null }])
  })
})
