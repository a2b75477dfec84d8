import { expect } from 'chai'
import { continues, eventDigest } from '../../../src/event-log/digest.ts'
import type { LogEvent } from '../../../src/event-log/event.ts'
import { MemoryLog } from '../../support/log.ts'

describe('event-log/digest', () => {
  it('is SHA-256 over the digest before, the position as 8 bytes and the body', () => {
    // printf '\0\0\0\0\0\0\0\0{}' | sha256sum
    expect(eventDigest('', 0, '{}')).to.equal(
      '9bf2cdb8cad05b1300c3c1eb12770a9a52f8b78a40da41030a83040ad08fb797',
    )
  })

  describe('a page that goes on from what is applied', () => {
    const log = new MemoryLog()
    log.append('create', 'create')
    log.append('update')
    const [, ...events] = log.events
    const change = (index: number, by: Partial<LogEvent>) =>
      events.map((event, i) => (i === index ? { ...event, ...by } : event))

    it('does when it is whole', () => {
      expect(continues(log.at(0), events)).to.equal(true)
      expect(continues(log.at(2), events.slice(2))).to.equal(true)
      expect(continues(log.at(3), [])).to.equal(true)
    })

    it('does not when an event is missing, changed or out of order', () => {
      expect(continues(log.at(0), events.slice(1))).to.equal(false)
      expect(continues(log.at(0), [...events].reverse())).to.equal(false)
      expect(continues(log.at(0), change(1, { body: '{}' }))).to.equal(false)
      expect(continues(log.at(0), change(1, { position: 7 }))).to.equal(false)
      expect(continues(log.at(0), change(1, { digest: log.at(1).digest }))).to.equal(false)
    })

    it('does not when the digest before is another', () => {
      expect(continues({ position: 0, digest: log.at(1).digest }, events)).to.equal(false)
    })

    it('does not when a transaction is cut at its beginning', () => {
      expect(continues(log.at(1), events.slice(1))).to.equal(false)
    })
  })
})
