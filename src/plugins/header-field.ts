// What a configuration may say of header fields, checked when it is written: a request would find it too late.

/** RFC 9110, 5.6.2. */
export function isFieldName(text: string): boolean {
  return /^[!#$%&'*+.^_`|~\w-]+$/.test(text)
}

/** Text of one line. What is not ASCII goes as UTF-8 (identity.ts, `headerValue`). */
export function isFieldValue(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not stand in a field
  return !/[\x00-\x08\x0a-\x1f\x7f]/.test(text)
}
