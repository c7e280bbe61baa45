package io.github.wordspot;

import android.media.AudioFormat;
import android.media.AudioRecord;
import android.media.MediaRecorder;
import java.io.IOException;

/** The microphone of the phone. Android resamples if it has another rate. */
final class PhoneMicrophone implements Microphone {
    private static final int BUFFER_MS = 500; // sound that is kept while the phone is busy

    private final AudioRecord record;

    /** Needs the permission RECORD_AUDIO. */
    PhoneMicrophone(int sampleRate) throws IOException {
        int least = AudioRecord.getMinBufferSize(sampleRate, AudioFormat.CHANNEL_IN_MONO, AudioFormat.ENCODING_PCM_16BIT);
        if (least <= 0) throw new IOException("this phone does not record at " + sampleRate + " Hz");
        int bytes = Math.max(least, 2 * sampleRate * BUFFER_MS / 1000);
        try {
            record = new AudioRecord(MediaRecorder.AudioSource.VOICE_RECOGNITION, sampleRate, AudioFormat.CHANNEL_IN_MONO,
                    AudioFormat.ENCODING_PCM_16BIT, bytes);
        } catch (SecurityException error) {
            throw new IOException("the app may not use the microphone; allow it in the settings of the phone", error);
        }
        if (record.getState() != AudioRecord.STATE_INITIALIZED) {
            record.release();
            throw new IOException("the microphone cannot be opened; another app may be using it");
        }
        record.startRecording();
    }

    @Override
    public boolean read(short[] samples) throws IOException {
        for (int filled = 0; filled < samples.length; ) {
            int n = record.read(samples, filled, samples.length - filled);
            if (n <= 0) throw new IOException("the microphone stopped (error " + n + ")");
            filled += n;
        }
        return true;
    }

    @Override
    public void close() {
        record.stop();
        record.release();
    }
}
