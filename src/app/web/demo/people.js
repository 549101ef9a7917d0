// The ready-made people of `rowcast dev`; a bridge in earnest has none.

/** `{name, user_id, token}` of each. */
export async function people() {
  const response = await fetch("users", { cache: "no-store" }).catch(() => null);
  return response?.ok ? response.json().catch(() => []) : [];
}
