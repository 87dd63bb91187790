"""Gemini: `POST …:generateContent` and `…:streamGenerateContent`."""
