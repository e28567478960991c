"A checkpoint is one .safetensors file that explains itself: weights, and how they came about.

It holds no pickle. Its tensors are `model.…` (the weights) and, to resume a run, `optimizer.…` and
`generator.…`; metadata.hy says what its metadata are. Checkpoints come from strangers too: header
and metadata are checked before any weight is read, sizes before memory is asked for."

(eval-when-compile
  (require hyrule [unless]))
(import  itertools [chain islice]
         json
         os
         pathlib [Path]
         safetensors.torch :as safetensors
         torch
         torch.overrides [TorchFunctionMode]
         nanogpt-hy.lab.checkpoints.header [opened read-header]
         nanogpt-hy.lab.checkpoints.metadata [check-meta digest FORMAT KEY META-DEFAULTS
                                              meta-problem MOST-META sizes-problem]
         nanogpt-hy.lab.files [short write-atomic written-at]
         nanogpt-hy.lab.strangers [refuse])

(setv KIND-NAMES {torch.float64 "F64"  torch.float32 "F32"  torch.float16 "F16"
                  torch.bfloat16 "BF16"  torch.int64 "I64"  torch.int32 "I32"
                  torch.int16 "I16"  torch.int8 "I8"  torch.uint8 "U8"  torch.bool "BOOL"})

;;; Where checkpoints are

(defn checkpoint-path [path]
  "file or run's folder -> Path: the checkpoint it means: itself, or the best, else the last in it."
  (setv path  (Path path)
        found (lfor  place [path (/ path "best.safetensors") (/ path "last.safetensors")]
                    :if (os.path.isfile place) place))
  (cond
    found
    (get found 0)
    (os.path.isdir path)
    (refuse f"the folder {path}" "holds no best.safetensors and no last.safetensors"
            "name a run's folder, or train first")
    (os.path.exists path)
    (refuse path "is neither a file nor a folder" "name a checkpoint")
    True
    (refuse f"the checkpoint {path}" "does not exist" "check the name, or train first")))

(defn newest-checkpoint [[runs-dir "runs"] * [names ["best" "last"]]]
  "folder of runs -> Path: the checkpoint of the run that wrote one last, of those with such NAMES."
  (setv files (lfor  name names
                    file (.glob (Path runs-dir) f"*/{name}.safetensors")
                    file))
  (unless files
    (refuse f"the folder {runs-dir}" "holds no run with a checkpoint"
            "train first (nanogpt-hy train TEXT), or name a checkpoint"))
  (checkpoint-path (. (max files :key written-at) parent)))

;;; Saving

(defn separate [tensors]
  "{name: tensor} -> {name: tensor}: on the CPU, each in memory of its own, as files want them."
  (setv seen #{}
        out  {})
  (for [[name tensor] (.items tensors)]
    (setv plain (.contiguous (.to (.detach tensor) "cpu"))
          place (.data-ptr (.untyped-storage plain)))
    (setv (get out name) (if (in place seen) (.clone plain) plain))
    (.add seen place))
  out)

(defn save-checkpoint [path tensors meta]
  "file name, {name: tensor}, dict -> None: a checkpoint of them, written whole or not at all.
  META needs stage, config, tokenizer and step; train, losses, data may be left out and more may be
  added. A META that could not be read back is the program's mistake: ValueError."
  (setv tensors (separate tensors)
        entries (dfor  [name t] (.items tensors)  name #((get KIND-NAMES t.dtype) (tuple t.shape)))
        meta    {#** META-DEFAULTS  #** meta  "format" FORMAT}
        meta    (json.loads (json.dumps meta :allow-nan False))    ; as a reader will see it
        text    (json.dumps {#** meta  "digest" (digest meta entries)})
        problem (or (meta-problem meta) (sizes-problem meta entries)))
  (when (> (len text) MOST-META)
    (setv problem f"its JSON has {(len text)} bytes, more than {MOST-META}"))
  (when problem
    (raise (ValueError f"not a checkpoint: {problem}")))
  (write-atomic path (safetensors.save tensors {KEY text})))

;;; Reading and loading

(defn promised [path]
  "file or run's folder -> Path, {key: text}, {name: (dtype shape)}: what the header promises."
  (setv path (checkpoint-path path))
  (with [[file size] (opened path)]
    (setv [entries notes] (read-header path file size)))
  #(path notes entries))

(defn header [path]
  "file or run's folder -> {name: (dtype shape)}: the tensors in any .safetensors file, unloaded.
  dtype is one of header.hy's BYTES."
  (get (promised path) 2))

(defn read-meta [path]
  "file or run's folder -> dict: the checkpoint's metadata. No weight is loaded."
  (check-meta #* (promised path)))

(defn load-checkpoint [path * [device "cpu"]]
  "file or run's folder -> {name: tensor}, dict: the checkpoint's tensors and metadata.
  Weights come to DEVICE. All else stays on the CPU: generators want their state from there, and an
  optimizer brings its own to where it belongs."
  (setv path (checkpoint-path path))
  ;; Header and data come through one open file: a run may put a newer one in its place meanwhile.
  (with [[file size] (opened path)]
    (setv [entries notes] (read-header path file size)
          meta            (check-meta path notes entries))
    (.seek file 0)
    (setv data (.read file size)))
  (try (setv tensors (safetensors.load data))
    (except [e Exception]               ; the library's second opinion on a header that passed ours
      (refuse path f"cannot be read ({(short (str e))})")))
  (for [[name tensor] (.items tensors)]
    (unless (.item (.all (.isfinite tensor)))
      (refuse path f"holds numbers that are not finite, in {(short name)}")))
  #((dfor  [name t] (.items tensors)  name (if (.startswith name "model.") (.to t device) t)) meta))

;;; Weights into models

(defn first-few [problems]
  "[str] -> str: at most three of them, and how many more there are."
  (setv problems (iter problems)
        named    (list (islice problems 3))
        more     (sum (gfor  _ problems  1)))
  (+ (.join "; " named) (if more f"; and {more} more" "")))

(defn check-shapes [model-shapes tensor-shapes [what "the checkpoint"]]
  "{name: shape}, {name: shape} -> None: a file's tensors are just those that a model has.
  RequestError names what is missing, unexpected or of another shape."
  (setv wanted   (dfor  [name s] (.items model-shapes)  name (list s))
        found    (dfor  [name s] (.items tensor-shapes)  name (list s))
        problems (chain
          (gfor  name wanted :if (not-in name found) f"{(short name)} is missing")
          (gfor  name found :if (not-in name wanted) f"{(short name)} is unexpected")
          (gfor  [name shape] (.items wanted)
                :if (!= (.get found name shape) shape)
                f"{(short name)} has the shape {(get found name)} instead of {shape}"))
        text     (first-few problems))
  (when text
    (refuse what f"does not fit the model: {text}")))

(defn model-shapes [model]
  "model -> {name: shape}: its weights."
  (dfor  [name t] (.items (.state-dict model))  name (tuple t.shape)))

(defn model-part [tensors]
  "{name: tensor} -> {name: tensor}: the `model.…` ones, under the names that the model gives them."
  (dfor  [name t] (.items tensors)
        :if (.startswith name "model.")
        (.removeprefix name "model.") t))

(defn as-model-part [tensors]
  "{name: anything} -> the same under `model.…`: the inverse of `model-part`."
  (dfor  [name t] (.items tensors)  f"model.{name}" t))

(defn load-weights [model tensors]
  "model, {name: tensor} -> model: the `model.…` are its weights now, all of them and no others.
  Device and precision stay the model's, and its parameters stay the same objects: an optimizer that
  holds them goes on holding them."
  (setv weights (model-part tensors)
        own     (.state-dict model))
  (check-shapes (model-shapes model) (dfor  [name t] (.items weights)  name t.shape))
  (for [[name t] (.items weights)]
    (when (!= (.is-floating-point t) (.is-floating-point (get own name)))
      (setv kinds f"{t.dtype} instead of {(. (get own name) dtype)}")
      (refuse "the checkpoint" f"does not fit the model: {(short name)} is of the kind {kinds}")))
  (.load-state-dict model weights)
  model)

(defclass NothingDrawn [TorchFunctionMode]
  "Within, layers are made without their first weights, which are about to be replaced. On the meta
  device drawing them would load torch's compiler, a second, and elsewhere it takes its time."
  (defn __torch_function__ [self function kinds [arguments #()] [options None]]
    (setv options (or options {}))
    (if (= (getattr function "__module__" None) "torch.nn.init")
      (get [#* arguments #* (.values options)] 0)
      (function #* arguments #** options))))

(defn restore-model [make tensors * [device "cpu"]]
  "function, {name: tensor} -> model: what (MAKE) builds, with the `model.…` as its weights.
  It is built first on torch's meta device, where sizes cost no memory, and compared with the file."
  (with [_ (torch.device "meta")
         _ (NothingDrawn)]
    (setv wanted (model-shapes (make))))
  (check-shapes wanted (dfor  [name t] (.items (model-part tensors))  name t.shape))
  (with [_ (NothingDrawn)]
    (setv model (make)))
  (load-weights (.to model device) tensors))
