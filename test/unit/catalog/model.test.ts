import fc from 'fast-check'
import { Run, step } from './program.ts'

describe('catalog against a model', () => {
  it('answers no lookup with less than was applied when it began, and ends equal to the tables', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(step, { minLength: 20, maxLength: 150 }),
        async (filtered, program) => {
          const run = new Run({ filtered })
          await run.start()
          try {
            for (const step of program) await run.step(step)
            await run.finish()
          } finally {
            run.close()
          }
        },
      ),
      { numRuns: 300 },
    )
  }).timeout(120_000)
})
