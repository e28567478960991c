"Models of other programs, whatever their form: held against what they say of themselves.

They come from strangers. So sizes are compared with the file before a model of that size is made,
and only plain tensors of finite floats are taken."

(eval-when-compile
  (require hyrule [unless]))
(import  dataclasses [asdict replace]
         pathlib [Path]
         torch
         nanogpt-hy.config [GPTConfig read-config]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.fast [FastGPT]
         nanogpt-hy.lab.checkpoints.checkpoint [as-model-part check-shapes model-shapes
                                                save-checkpoint]
         nanogpt-hy.lab.checkpoints.metadata [sizes-problem]
         nanogpt-hy.lab.files [make-folder short stands write-atomic]
         nanogpt-hy.lab.strangers [refuse])

(setv SIZES    ["vocab_size" "block_size" "n_layer" "n_head" "n_embd"]
      ANOTHER  "use another model"
      PLAIN    #{torch.float16 torch.bfloat16 torch.float32 torch.float64 torch.bool})

(defn foreign-config [values source]
  "-> GPTConfig: VALUES, all sizes among them, which came from the file SOURCE."
  (for [name SIZES]
    (unless (in name values)
      (refuse source f"does not say its {name}" ANOTHER)))
  (try
    (read-config GPTConfig values source ANOTHER)
    (except [e RequestError]
      (setv text (str e))
      (raise (RequestError (if (.startswith text (str source)) text f"{source} cannot be: {text}"))
             :from None))))

(defn check-fit [tensors c source]
  "Hold {name: shape} of the file SOURCE against the config, before anything large is made."
  (setv entries (as-model-part (dfor  [name shape] (.items tensors)  name ["F32" shape]))
        problem (sizes-problem {"config" (asdict c)} entries))
  (when problem
    (refuse source problem ANOTHER))
  (with [_ (torch.device "meta")]
    (setv wanted (model-shapes (FastGPT c))))
  (check-shapes wanted tensors source))

(defn check-plain [name t source]
  "RequestError where a stranger's tensor is no ordinary one, or its name no name."
  (unless (and (isinstance name str) (isinstance t torch.Tensor) (= t.device.type "cpu")
               (is t.layout torch.strided) (in t.dtype PLAIN))
    (refuse source f"has {(short name)}, which is no plain tensor of floats" ANOTHER)))

(defn plain [name t source]
  "A stranger's tensor -> float32, every number of it finite."
  (check-plain name t source)
  (setv t (.contiguous (.float (.detach t))))
  (unless (.all (.isfinite t))
    (refuse source f"holds numbers that are not finite, in {(short name)}" ANOTHER))
  t)

(defn complete [tensors c source]
  "-> tensors, config: lm-head included. It is tied where it is missing or the same."
  (setv wte  (.get tensors "transformer.wte.weight")
        head (.get tensors "lm_head.weight" wte)
        tied (and (is-not wte None) (torch.equal wte head) (not-in "lm_head.bias" tensors)))
  (when (is wte None)
    (refuse source "has no transformer.wte.weight" ANOTHER))
  (setv tensors (| tensors {"lm_head.weight" head}))
  (when (and c.bias (not tied))
    (.setdefault tensors "lm_head.bias" (.new-zeros head (cut head.shape 1))))
  [tensors (replace c :tied tied)])

(defn save-import [path tensors c tokenizer source * [step 0] [loss None]]
  "-> Path: the new checkpoint of stage fast."
  (setv state (.state tokenizer)
        ids   tokenizer.vocab-size)
  (when (or (> ids c.vocab-size) (and (= (get state "kind") "char") (!= ids c.vocab-size)))
    (refuse source f"has {c.vocab-size} tokens, and the tokenizer {ids}"
            "name the one that it was trained with (--tokenizer, --text)"))
  (make-folder path.parent)
  (save-checkpoint path (as-model-part tensors)
                   {"stage" "fast"  "config" (asdict c)  "tokenizer" state  "step" step
                    "losses" (if (is loss None) {} {"best" loss})
                    "data" {"imported" (. (Path source) name)}})
  path)

(defn write-files [out files]
  "Write FILES, name -> text or bytes, into the new folder OUT; -> a note for each."
  (setv out (Path out))
  (when (and (stands out) (not (and (.is-dir out) (not (any (.iterdir out))))))
    (raise (RequestError f"{out} is there already: choose another name, or empty it first")))
  (make-folder out)
  (for [[name data] (.items files)]
    (write-atomic (/ out name) data))
  (lfor  name files  f"wrote {(/ out name)}"))
