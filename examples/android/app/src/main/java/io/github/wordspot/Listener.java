package io.github.wordspot;

import java.io.IOException;
import java.util.List;

/** Detects words in what a microphone records, in a thread of its own. */
public final class Listener {
    /** Is told what happens, in the thread of the listener. */
    public interface Watcher {
        /** The scores of the newest hop, one for each label; the array is used again. */
        void scored(float[] scores);

        void detected(Detection detection);

        /** The sound has ended; the message is null unless the microphone failed. */
        void ended(String message);
    }

    private static final int HOPS = 4; // of a call: the weights are read from memory once for all of them

    private final Wordspot wordspot;
    private final Microphone microphone;
    private final Watcher watcher;
    private final Thread thread = new Thread(this::run, "wordspot");
    private volatile boolean stopped;

    public Listener(Wordspot wordspot, Microphone microphone, Watcher watcher) {
        this.wordspot = wordspot;
        this.microphone = microphone;
        this.watcher = watcher;
    }

    public void start() {
        thread.start();
    }

    /** Stop, and wait until the thread has ended. */
    public void stop() throws InterruptedException {
        stopped = true;
        thread.join();
    }

    private void run() {
        String message = null;
        try (Microphone source = microphone) {
            short[] samples = new short[HOPS * wordspot.hopSamples];
            float[] scores = new float[wordspot.labels.size()];
            while (!stopped && source.read(samples)) {
                List<Detection> found = wordspot.feed(samples, scores);
                watcher.scored(scores);
                for (Detection detection : found) watcher.detected(detection);
            }
            for (Detection detection : wordspot.flush()) watcher.detected(detection);
        } catch (IOException error) {
            message = error.getMessage();
        }
        watcher.ended(message);
    }
}
