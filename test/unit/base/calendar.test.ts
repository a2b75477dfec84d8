import { expect } from 'chai'
import { periods, windowEndsAt, windowsAt } from '../../../src/base/calendar.ts'

const at = (text: string) => Date.parse(text)

describe('calendar', () => {
  it('a window ends where the next one begins, and in UTC', () => {
    const now = at('2024-02-29T23:59:59.999Z')
    const ends = periods.map((period) => new Date(windowEndsAt(period, now)).toISOString())
    expect(ends).deep.equal([
      '2024-03-01T00:00:00.000Z',
      '2024-03-01T00:00:00.000Z',
      '2024-03-01T00:00:00.000Z',
      '2024-03-01T00:00:00.000Z',
      '2024-03-01T00:00:00.000Z',
      '2025-01-01T00:00:00.000Z',
    ])
    for (const [i, period] of periods.entries()) {
      const end = windowEndsAt(period, now)
      expect(windowsAt(end - 1)[i], period).equal(windowsAt(now)[i])
      expect(windowsAt(end)[i], period).equal((windowsAt(now)[i] as number) + 1)
    }
  })

  it('a moment on the boundary belongs to the window that begins', () => {
    const newYear = at('2025-01-01T00:00:00.000Z')
    expect(windowEndsAt('second', newYear)).equal(newYear + 1000)
    expect(windowEndsAt('month', newYear)).equal(at('2025-02-01T00:00:00Z'))
    expect(windowEndsAt('year', newYear)).equal(at('2026-01-01T00:00:00Z'))
  })

  it('the same month of another year is another window', () => {
    const [, , , , month] = windowsAt(at('2024-05-15T12:00:00Z'))
    expect(windowsAt(at('2025-05-15T12:00:00Z'))[4]).equal((month as number) + 12)
  })
})
