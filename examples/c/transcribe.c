/* Transcribes a WAV file (16-bit PCM, mono):  transcribe model.anyon speech.wav  */
#include <anyon/anyon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned u32(const unsigned char* b) { return b[0] | b[1] << 8 | b[2] << 16 | (unsigned)b[3] << 24; }

/* The samples (-1..1) of the file, which the caller frees; NULL where it is not such a WAV file. */
static float* read_wav(const char* path, size_t* samples, int* rate) {
  unsigned char head[12], chunk[8], format[16];
  float* pcm = NULL;
  FILE* file = fopen(path, "rb");
  if (!file) return NULL;
  if (fread(head, 1, 12, file) == 12 && !memcmp(head, "RIFF", 4) && !memcmp(head + 8, "WAVE", 4)) {
    while (!pcm && fread(chunk, 1, 8, file) == 8) {
      const unsigned bytes = u32(chunk + 4);
      if (!memcmp(chunk, "fmt ", 4) && bytes >= 16) {
        if (fread(format, 1, 16, file) != 16 || fseek(file, bytes - 16, SEEK_CUR)) break;
        *rate = (int)u32(format + 4);
        if (format[0] != 1 || format[2] != 1 || format[14] != 16) break;
      } else if (!memcmp(chunk, "data", 4) && *rate > 0) {
        pcm = malloc(bytes / 2 * sizeof(float) + 1);
        for (*samples = 0; pcm && *samples < bytes / 2 && fread(chunk, 1, 2, file) == 2; ++*samples) {
          pcm[*samples] = (short)(chunk[0] | chunk[1] << 8) / 32768.0f;
        }
      } else if (fseek(file, bytes + (bytes & 1), SEEK_CUR)) {
        break;
      }
    }
  }
  fclose(file);
  return pcm;
}

int main(int argc, char** argv) {
  anyon_model* model = NULL;
  anyon_session* session = NULL;
  size_t samples = 0;
  int rate = 0, failed = 1;
  float* pcm = argc == 3 ? read_wav(argv[2], &samples, &rate) : NULL;
  if (!pcm) {
    fprintf(stderr, "usage: %s model.anyon speech.wav  (16-bit PCM, mono)\n", argv[0]);
  } else if (anyon_model_load(argv[1], NULL, &model) != ANYON_OK) {
    fprintf(stderr, "%s\n", anyon_model_error(model));
  } else if (anyon_session_create(model, NULL, &session) != ANYON_OK ||
             anyon_session_transcribe(session, pcm, samples, rate, NULL) != ANYON_OK) {
    fprintf(stderr, "%s\n", anyon_session_error(session));
  } else {
    puts(anyon_session_text(session));
    failed = 0;
  }
  anyon_session_free(session);
  anyon_model_free(model);
  free(pcm);
  return failed;
}
