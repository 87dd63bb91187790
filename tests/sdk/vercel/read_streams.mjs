// Reads streams with the Vercel AI SDK, whose `fetch` answers from a file.
//
// In: one JSON line per stream, {"provider", "path", "tools": [names]}.
// Out: one JSON line each, {"text", "reasoning", "calls", "reason", "errors"}.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { jsonSchema, streamText } from "ai";

globalThis.AI_SDK_LOG_WARNINGS = false;

const apiKey = "none";
const MODELS = {
  anthropic: (fetch) => createAnthropic({ apiKey, fetch })("claude-sonnet-4-5"),
  google: (fetch) => createGoogleGenerativeAI({ apiKey, fetch })("gemini-3-pro"),
  "openai-chat": (fetch) => createOpenAI({ apiKey, fetch }).chat("gpt-5.1"),
  "openai-responses": (fetch) => createOpenAI({ apiKey, fetch }).responses("gpt-5.1"),
  "openai-compatible": (fetch) =>
    createOpenAICompatible({ name: "any", baseURL: "https://any.example/v1", apiKey, fetch })("glm-5"),
};

async function read({ provider, path, tools }) {
  const headers = { "content-type": "text/event-stream" };
  const model = MODELS[provider](async () => new Response(readFileSync(path), { headers }));
  const inputSchema = jsonSchema({ type: "object" });
  const transcript = { text: "", reasoning: "", calls: [], reason: null, errors: [] };
  const parts = streamText({
    model,
    prompt: "Hello",
    tools: Object.fromEntries(tools.map((name) => [name, { inputSchema }])),
    maxRetries: 0,
    onError() {},
  }).fullStream;
  for await (const part of parts) {
    if (part.type === "text-delta") transcript.text += part.text;
    if (part.type === "reasoning-delta") transcript.reasoning += part.text;
    if (part.type === "tool-call" && tools.includes(part.toolName))
      transcript.calls.push([part.toolName, part.input]);
    if (part.type === "finish-step") transcript.reason = part.rawFinishReason ?? part.finishReason;
    if (part.type === "error") transcript.errors.push(describe(part.error));
  }
  return transcript;
}

function describe(error) {
  return error instanceof Error ? `${error.name}: ${error.message}` : JSON.stringify(error);
}

for await (const line of createInterface({ input: process.stdin })) {
  let transcript;
  try {
    transcript = await read(JSON.parse(line));
  } catch (error) {
    transcript = { errors: [`thrown ${describe(error)}`] };
  }
  console.log(JSON.stringify(transcript));
}
