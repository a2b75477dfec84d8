// Single keys from a terminal, without Enter.

/**
 * Calls `pressed` with each key until the function that it returns is called. Meanwhile the terminal sends no signals:
 * Ctrl-C is a key like the others, `\u0003`.
 */
export function readKeys(terminal: NodeJS.ReadStream, pressed: (key: string) => void): () => void {
  const hear = (keys: string) => {
    for (const key of keys) pressed(key)
  }
  terminal.setRawMode(true)
  terminal.setEncoding('utf8').on('data', hear)
  return () => {
    terminal.off('data', hear).pause()
    terminal.setRawMode(false)
  }
}
