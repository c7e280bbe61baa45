"""A trained model for others: the web page, a WebSocket for programs, HTTP, and Home Assistant's protocol.

`app.make_app` is the web application, `streams.StreamPool` runs many streams over a few threads, `client.listen` is the
other end of the WebSocket. Needs the extra "serve"; only the commands `serve` and `export-web` import it.
"""
