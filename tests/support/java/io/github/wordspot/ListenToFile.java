package io.github.wordspot;

import java.io.DataInputStream;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;

/** The phone's classes on a desktop: `ListenToFile MODEL WAV` prints what the listener reports, or the error of a bad model. */
public final class ListenToFile {
    private static final int HEADER_BYTES = 44;

    /** A WAV file of 16-bit mono samples with a header of 44 bytes. */
    private static final class WavMicrophone implements Microphone {
        private final DataInputStream stream;

        WavMicrophone(String path) throws IOException {
            stream = new DataInputStream(new FileInputStream(path));
            if (stream.skipBytes(HEADER_BYTES) != HEADER_BYTES) throw new IOException(path + " is not a WAV file");
        }

        @Override
        public boolean read(short[] samples) throws IOException {
            byte[] bytes = new byte[2 * samples.length];
            if (stream.readNBytes(bytes, 0, bytes.length) < bytes.length) return false;
            for (int i = 0; i < samples.length; i++) {
                samples[i] = (short) (bytes[2 * i] & 0xff | bytes[2 * i + 1] << 8);
            }
            return true;
        }

        @Override
        public void close() throws IOException {
            stream.close();
        }
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        String name = Path.of(arguments[0]).getFileName().toString();
        try (InputStream file = new FileInputStream(arguments[0]);
                Wordspot wordspot = new Wordspot(name, ModelFile.read(name, file))) {
            out.println("labels " + String.join(" ", wordspot.labels));
            out.println("facts " + wordspot.sampleRate + " " + wordspot.hopSamples + " " + wordspot.earlyRows);
            out.println("self-test " + wordspot.selfTest());
            Listener listener = new Listener(wordspot, new WavMicrophone(arguments[1]), new Printer(out));
            listener.start();
            Printer.ENDED.await();
            listener.stop();
        } catch (IllegalArgumentException error) {
            out.println("error " + error.getMessage());
        }
    }

    private static final class Printer implements Listener.Watcher {
        static final CountDownLatch ENDED = new CountDownLatch(1);

        private final PrintStream out;

        Printer(PrintStream out) {
            this.out = out;
        }

        @Override
        public void scored(float[] scores) {
            StringBuilder line = new StringBuilder("scores");
            for (float score : scores) line.append(' ').append(score);
            out.println(line);
        }

        @Override
        public void detected(Detection detection) {
            out.println("detected " + detection.label + " " + detection.timeMs + " " + detection.score);
        }

        @Override
        public void ended(String message) {
            out.println("ended " + message);
            ENDED.countDown();
        }
    }
}
