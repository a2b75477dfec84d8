import { expect } from 'chai'
import { listenersOnOnePort } from '../../src/node/ports.ts'
import { connectionsOf } from '../support/evenness.ts'

describe('the port that workers share', () => {
  it('gives each about as many connections', async () => {
    for (const connections of await connectionsOf(4, 1000)) expect(connections).to.be.within(180, 320)
  })

  it('has one listener, however many are wanted, where the platform lets no more', async () => {
    expect(await listenersOnOnePort(4, async () => false)).to.equal(1)
    expect(await listenersOnOnePort(4, async () => true)).to.equal(4)
  })

  it('is shared on this platform', async () => {
    expect(await listenersOnOnePort(2)).to.equal(2)
  })
})
