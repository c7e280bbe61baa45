"""Switch a lamp by voice: publish ON and OFF to an MQTT topic when the words "on" and "off" are detected.

    pip install 'wordspot[listen]' paho-mqtt
    python examples/lamp.py --broker homeassistant.local --topic lamp/set
    python examples/lamp.py --dry-run                      # print instead of publishing; needs no broker
    python examples/lamp.py --dry-run --file evening.wav   # a recording instead of the microphone

Any two words of your own model work: --model words.onnx --on hello --off goodbye.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable

import wordspot as ws


def publisher(broker: str, topic: str) -> Callable[[str], object]:
    """A function that publishes a message to the topic, over one connection that is kept open."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    client = Client(CallbackAPIVersion.VERSION2)
    client.connect(broker)
    client.loop_start()
    return lambda message: client.publish(topic, message, qos=1)


def switch(detections: Iterable[ws.Detection], messages: dict[str, str], send: Callable[[str], object]) -> None:
    """Send the message of each detected word that has one."""
    for detection in detections:
        if message := messages.get(detection.label):
            print(f"{detection.time_ms / 1000:7.2f} s  {detection.label} ({detection.score:.2f}): {message}", flush=True)
            send(message)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="an exported file (default: the model that comes with wordspot)")
    parser.add_argument("--file", help="a recording instead of the microphone")
    parser.add_argument("--on", default="on", metavar="WORD")
    parser.add_argument("--off", default="off", metavar="WORD")
    parser.add_argument("--broker", default="localhost")
    parser.add_argument("--topic", default="lamp/set")
    parser.add_argument("--dry-run", action="store_true", help="print the messages, publish nothing")
    args = parser.parse_args(argv)
    send = (lambda message: None) if args.dry_run else publisher(args.broker, args.topic)
    detections = ws.detect(args.file, model=args.model) if args.file else ws.listen(model=args.model)
    switch(detections, {args.on: "ON", args.off: "OFF"}, send)


if __name__ == "__main__":
    main()
