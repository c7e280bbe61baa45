/* The native methods of Wordspot.java. A handle is the address of an `engine`. */
#include <jni.h>
#include <stdlib.h>
#include <string.h>

#include "wordspot.h"

enum { ALIGNMENT = 64, MOST_BYTES = 64 << 20, VALUES = 3 };

typedef struct {
    void *blob, *memory;
    ws_stream *stream;
    float *scores;       /* [n_hops][n_labels] of the newest call */
    ws_detection *found; /* [2 * n_hops] */
    size_t n_hops;       /* there is room for */
} engine;

static void release(engine *it) {
    if (!it) return;
    free(it->blob), free(it->memory), free(it->scores), free(it->found), free(it);
}

/* Make room for the results of `n_hops` hops. Returns 0 if there is no memory. */
static int make_room(engine *it, size_t n_hops) {
    if (n_hops <= it->n_hops) return 1;
    free(it->scores), free(it->found);
    it->scores = malloc(n_hops * ws_about(it->stream).n_labels * sizeof *it->scores);
    it->found = malloc(2 * n_hops * sizeof *it->found);
    it->n_hops = it->scores && it->found ? n_hops : 0;
    return it->n_hops != 0;
}

static void no_memory(JNIEnv *env) {
    jclass error = (*env)->FindClass(env, "java/lang/OutOfMemoryError");
    if (error) (*env)->ThrowNew(env, error, "no memory for the model");
}

JNIEXPORT jlong JNICALL Java_io_github_wordspot_Wordspot_open(JNIEnv *env, jclass type, jbyteArray model) {
    (void)type;
    const size_t n_bytes = (size_t)(*env)->GetArrayLength(env, model);
    if (n_bytes > MOST_BYTES) return 0;
    engine *it = calloc(1, sizeof *it);
    if (!it || posix_memalign(&it->blob, ALIGNMENT, n_bytes + ALIGNMENT)) {
        no_memory(env);
        release(it);
        return 0;
    }
    (*env)->GetByteArrayRegion(env, model, 0, (jsize)n_bytes, it->blob);
    const size_t size = ws_size(it->blob, n_bytes);
    if (size && posix_memalign(&it->memory, ALIGNMENT, size)) {
        no_memory(env);
        release(it);
        return 0;
    }
    it->stream = size ? ws_init(it->memory, size, it->blob, n_bytes) : NULL;
    if (!it->stream) {
        release(it);
        return 0;
    }
    return (jlong)(intptr_t)it;
}

static engine *engine_of(jlong handle) {
    return (engine *)(intptr_t)handle;
}

JNIEXPORT void JNICALL Java_io_github_wordspot_Wordspot_close(JNIEnv *env, jclass type, jlong handle) {
    (void)env, (void)type;
    release(engine_of(handle));
}

JNIEXPORT jintArray JNICALL Java_io_github_wordspot_Wordspot_about(JNIEnv *env, jclass type, jlong handle) {
    (void)type;
    const ws_facts facts = ws_about(engine_of(handle)->stream);
    const jint values[] = {(jint)facts.sample_rate, (jint)facts.hop_samples, (jint)facts.n_labels, (jint)facts.early_rows};
    jintArray result = (*env)->NewIntArray(env, 4);
    if (result) (*env)->SetIntArrayRegion(env, result, 0, 4, values);
    return result;
}

JNIEXPORT jbyteArray JNICALL Java_io_github_wordspot_Wordspot_label(JNIEnv *env, jclass type, jlong handle, jint number) {
    (void)type;
    const char *text = ws_label(engine_of(handle)->stream, (uint32_t)number);
    const jsize n = (jsize)strlen(text);
    jbyteArray result = (*env)->NewByteArray(env, n);
    if (result) (*env)->SetByteArrayRegion(env, result, 0, n, (const jbyte *)text);
    return result;
}

/* Label, score and time of each detection; NULL if there is none. */
static jdoubleArray detections(JNIEnv *env, const ws_detection *found, size_t n) {
    jdoubleArray result = n ? (*env)->NewDoubleArray(env, (jsize)(VALUES * n)) : NULL;
    for (size_t i = 0; result && i < n; i++) {
        const jdouble values[VALUES] = {found[i].label, found[i].score, found[i].time_ms};
        (*env)->SetDoubleArrayRegion(env, result, (jsize)(VALUES * i), VALUES, values);
    }
    return result;
}

JNIEXPORT jdoubleArray JNICALL Java_io_github_wordspot_Wordspot_feed(JNIEnv *env, jclass type, jlong handle,
                                                                     jshortArray samples, jfloatArray scores) {
    (void)type;
    engine *it = engine_of(handle);
    const ws_facts facts = ws_about(it->stream);
    const size_t n_hops = (size_t)(*env)->GetArrayLength(env, samples) / facts.hop_samples;
    if (n_hops == 0) return detections(env, it->found, 0);
    jshort *audio = make_room(it, n_hops) ? (*env)->GetShortArrayElements(env, samples, NULL) : NULL;
    if (!audio) {
        no_memory(env);
        return NULL;
    }
    const size_t n = ws_feed(it->stream, audio, n_hops, it->scores, it->found, 2 * n_hops);
    (*env)->ReleaseShortArrayElements(env, samples, audio, JNI_ABORT);
    const float *newest = it->scores + (n_hops - 1) * facts.n_labels;
    if (scores) (*env)->SetFloatArrayRegion(env, scores, 0, (jsize)facts.n_labels, newest);
    return detections(env, it->found, n);
}

JNIEXPORT jdoubleArray JNICALL Java_io_github_wordspot_Wordspot_flush(JNIEnv *env, jclass type, jlong handle) {
    (void)type;
    ws_detection last;
    return detections(env, &last, ws_flush(engine_of(handle)->stream, &last));
}

JNIEXPORT jfloatArray JNICALL Java_io_github_wordspot_Wordspot_selfTest(JNIEnv *env, jclass type, jlong handle) {
    (void)type;
    float values[2];
    values[0] = ws_self_test(engine_of(handle)->stream, &values[1]);
    jfloatArray result = (*env)->NewFloatArray(env, 2);
    if (result) (*env)->SetFloatArrayRegion(env, result, 0, 2, values);
    return result;
}
