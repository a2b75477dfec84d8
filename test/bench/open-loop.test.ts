import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { quantile } from '../support/measure.ts'
import { askAtRate } from './proxy/rate.ts'

describe('the client that asks at a fixed rate', () => {
  const stallMs = 200
  let upstream: Upstream

  beforeEach(async () => {
    upstream = await new Upstream().start()
  })
  afterEach(() => upstream.stop())

  for (const connections of [1, 200])
    it(`charges a stall to all who were due meanwhile, with ${connections} connections`, async () => {
      let asked = 0
      let stall: Promise<void> | undefined
      upstream.answer = async (_, response) => {
        if (++asked === 100) stall = systemClock.sleep(stallMs)
        await stall
        response.writeHead(200, { 'content-length': 2 }).end('ok')
      }
      const load = { requestsPerS: 400, seconds: 1, connections }
      const { dueMs, tookMs } = await askAtRate({ port: upstream.port, path: '/', headers: {}, ...load })
      expect(upstream.requests).to.equal(dueMs.length)
      expect(tookMs).to.have.lengthOf(dueMs.length)
      expect(dueMs).to.have.length.within(300, 500)
      expect(dueMs).to.deep.equal(dueMs.toSorted((a, b) => a - b))
      // Some 80 were due within the stall, and half of those in its first half; on a slow machine others wait as well.
      expect(tookMs.filter((ms) => ms > stallMs / 2)).to.have.length.at.least(15)
      expect(quantile(tookMs, 1)).to.be.at.least(stallMs - 20)
    })

  it('fails when an answer is not what was asked for', async () => {
    upstream.answer = (_, response) => response.writeHead(503, { 'content-length': 0 }).end()
    const load = { requestsPerS: 100, seconds: 1, connections: 2 }
    const failed = await askAtRate({ port: upstream.port, path: '/', headers: {}, ...load }).then(
      () => '',
      (error: Error) => error.message,
    )
    expect(failed).to.contain('expected 200 and a Content-Length')
  })
})
