// Makes one streaming call through HTTPS_PROXY and prints its text.
// Arguments: the JavaScript client (a key of CALLS) and the model.

import Anthropic from "@anthropic-ai/sdk";
import { createAnthropic } from "@ai-sdk/anthropic";
import { GoogleGenAI } from "@google/genai";
import { streamText } from "ai";
import OpenAI from "openai";
import { EnvHttpProxyAgent, setGlobalDispatcher } from "undici";

setGlobalDispatcher(new EnvHttpProxyAgent()); // as Gemini CLI does; also used by the fetch of Node.js

const [client, model] = process.argv.slice(2);
const apiKey = process.env.OPENAI_API_KEY;
const messages = [{ role: "user", content: "Say hello." }];
let text = "";

const CALLS = {
  async fetch() {
    const response = await fetch("https://api.anthropic.com/v1/messages", {
      method: "POST",
      headers: { "content-type": "application/json", "x-api-key": apiKey },
      body: JSON.stringify({ model, max_tokens: 64, stream: true, messages }),
    });
    text = `${response.status} ${await response.text()}`;
  },
  async anthropic() {
    const stream = new Anthropic({ apiKey, maxRetries: 0 }).messages.stream({
      model,
      max_tokens: 64,
      messages,
    });
    stream.on("text", (delta) => (text += delta));
    await stream.finalMessage();
  },
  async chat() {
    const chunks = await new OpenAI({ apiKey, maxRetries: 0 }).chat.completions.create({
      model,
      messages,
      stream: true,
    });
    for await (const chunk of chunks) text += chunk.choices[0]?.delta?.content ?? "";
  },
  async responses() {
    const events = await new OpenAI({ apiKey, maxRetries: 0 }).responses.create({
      model,
      input: "Say hello.",
      stream: true,
    });
    for await (const event of events)
      if (event.type === "response.output_text.delta") text += event.delta;
  },
  async gemini() {
    const parts = await new GoogleGenAI({ apiKey }).models.generateContentStream({
      model,
      contents: "Say hello.",
    });
    for await (const part of parts) text += part.text ?? "";
  },
  async vercel() {
    const parts = streamText({
      model: createAnthropic({ apiKey })(model),
      prompt: "Say hello.",
      maxRetries: 0,
      onError: ({ error }) => {
        throw error;
      },
    }).textStream;
    for await (const part of parts) text += part;
  },
};

await CALLS[client]();
console.log(text);
