/* Stands in for TensorRT's libraries, so that its Python bindings can be imported without them: their enums and classes are the real
   ones, whatever is called returns nothing. Built by tools/fetch_bindings.py. */
#define NOTHING(name) \
    void *name(void) { return 0; }
NOTHING(createInferBuilder_INTERNAL)
NOTHING(createInferRefitter_INTERNAL)
NOTHING(createInferRuntime_INTERNAL)
NOTHING(createNvOnnxParser_INTERNAL)
NOTHING(createNvOnnxParserRefitter_INTERNAL)
NOTHING(getBuilderPluginRegistry)
NOTHING(getPluginRegistry)
NOTHING(initLibNvInferPlugins)
int getNvOnnxParserVersion(void) { return 0; }
