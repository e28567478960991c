"The rows of the table: what is done, by whom."

(import  dataclasses [dataclass replace]
         functools [partial]
         random [Random]
         torch
         benchmark.bench [ALPHABET Contest DATA nanogpt-hy process]
         benchmark.checkout :as checkout
         benchmark.levers [of-sampling of-training]
         benchmark.sides [course-tokens course-trainer nanogpt-tokens nanogpt-whole-run
                          model-of our-evaluation our-run our-texts our-tokens our-training
                          our-whole-run COURSE peers-evaluation peers-training transformers-tokens]
         benchmark.timing [Side]
         nanogpt-hy.config [preset]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.data.encoding [encode-array]
         nanogpt-hy.lab.data.tokenizers [make-tokenizer]
         nanogpt-hy.lab.training.summary [flops-per-token peak-flops]
         nanogpt-hy.lab.training.trainer [steps])

(defn shape [n-layer n-head n-embd block-size * [batch-size 1] [dropout 0.0]]
  "-> dict: the sizes of a model and its batches, by their names in a config."
  {"n_layer" n-layer  "n_head" n-head  "n_embd" n-embd  "block_size" block-size
   "batch_size" batch-size  "dropout" dropout})

(defn shape-of [name]
  "-> dict: the same of the preset NAME."
  (setv values (preset name))
  (dfor  [name default] (.items (shape 1 1 1 1))  name (.get values name default)))

(setv TOY   (shape 3 4 32 8 :batch-size 32)
      CPU   (shape-of "shakespeare-cpu")
      BIG   (shape-of "shakespeare-gpu")
      SMALL (shape 4 4 128 256)
      PAST  (shape 4 4 128 64)
      OTHER "абвгдежзийклмнопрстуфхцчшщъыьэюя —\n")

;;; Training

(defn named [bench title]
  "TITLE, and the precision where that is not float32."
  (if (= bench.dtype "float32") title f"{title}, {bench.dtype}"))

(defn training [name sizes bench * [pieces None]]
  "-> Contest: training steps of a model of these SIZES."
  (Contest :title (named bench f"{name}: a step") :unit "step"
           :ours (our-training bench sizes :pieces pieces)
           :peers (peers-training bench sizes :pieces pieces)))

(defn training-on-gpu [bench [sizes BIG]]
  "-> Contest: steps on a GPU, in bfloat16, ours and nanoGPT's compiled where that can be done."
  (when (not (torch.cuda.is-available))
    (raise (RequestError "train-gpu needs a CUDA GPU and there is none here: leave it out")))
  (setv bench  (replace bench :dtype "bfloat16")
        device (torch.device "cuda")
        run    (our-run bench sizes :device "cuda" :compile "on")
        how    (if run.compiled ", compiled" "")
        tokens (* (get sizes "batch_size") (get sizes "block_size")))
  (Contest :title "train-gpu: a step" :unit "step"
           :ours [(Side f"ours{how}" (partial steps run))]
           :peers [#* (if bench.nanogpt
                        [(Side f"nanoGPT{how}"
                               (checkout.trainer bench sizes :device device
                                                 :compile run.compiled))]
                        [])
                   (Side COURSE (course-trainer bench sizes device))]
           :flops (* tokens (flops-per-token run.model run.config))
           :peak (peak-flops (torch.cuda.get-device-name device) run.dtype)))

(defn whole-runs [bench]
  "-> Contest: 2000 steps with nine evaluations, as processes from start to end."
  (defn compiled [name cache #** how]
    (our-whole-run bench name "--compile" "on" :env {"TORCHINDUCTOR_CACHE_DIR" cache} #** how))
  (setv [cold warm] (lfor  name ["cold" "warm"]  (str (/ bench.folder "caches" name))))
  (Contest :title (named bench "run-cpu") :unit "run"
           :ours [(our-whole-run bench "ours" :warmed-up False)
                  #* (if bench.compile
                       [(compiled "ours, compiled, cold" cold :warmed-up False)
                        (compiled "ours, compiled, warm" warm)]
                       [])]
           :peers (nanogpt-whole-run bench)))

;;; Evaluation and sampling

(defn evaluation [bench [sizes CPU]]
  "-> Contest: our evaluation of everything against that on 200 random batches of each part."
  (Contest :title (named bench "eval") :unit "evaluation"
           :ours [(our-evaluation bench sizes)]
           :peers (peers-evaluation bench sizes)))

(defn one-text [bench sizes count title]
  "-> Contest: a text of COUNT tokens that fit into the context."
  (setv [model config] (model-of bench sizes "fast"))
  (Contest :title title :unit "text"
           :ours [(our-tokens bench model config count)]
           :peers [#* (nanogpt-tokens bench model sizes count)
                   (course-tokens bench sizes count)
                   #* (transformers-tokens bench model config count)]))

(defn many-texts [bench sizes count samples title]
  "-> Contest: SAMPLES texts of COUNT tokens. nanoGPT's sample.py asks for one after the other."
  (setv [model config] (model-of bench sizes "fast")
        one-by-one     "one by one"
        at-once        f"{samples} at once")
  (Contest :title title :unit "text"
           :ours [(our-texts bench model config count samples)]
           :peers [#* (nanogpt-tokens bench model sizes count :name f"nanoGPT, {one-by-one}")
                   #* (nanogpt-tokens bench model sizes count :samples samples
                                      :name f"nanoGPT, {at-once}")
                   (course-tokens bench sizes count :samples samples)
                   #* (transformers-tokens bench model config count
                                           :name f"transformers, {one-by-one}")
                   #* (transformers-tokens bench model config count :samples samples
                                           :name f"transformers, {at-once}")]))

(defn past-the-context [bench sizes count title]
  "-> Contest: a text of more tokens than the context holds, where transformers' GPT-2 cannot go."
  (setv [model config] (model-of bench sizes "fast"))
  (Contest :title title :unit "text"
           :ours (lfor  window ["exact" "half"]
                        (our-tokens bench model config count :window window))
           :peers [#* (nanogpt-tokens bench model sizes count)
                   (course-tokens bench sizes count)]))

;;; Text and start

(defn encoding [name text]
  "-> Contest: TEXT to ids. A list comprehension is how nanoGPT's prepare.py does it."
  (setv tokenizer (make-tokenizer "char" text)
        stoi      tokenizer.course.ids
        megabytes (/ (len (.encode text "utf-8")) 1e6))
  (defn ours [times]
    (for [_ (range times)]
      (encode-array tokenizer text)))
  (defn comprehension [times]
    (for [_ (range times)]
      (lfor  c text  (get stoi c))))
  (Contest :title name :unit "MB" :rate "MB/s"
           :ours [(Side "ours" ours :amount megabytes)]
           :peers [(Side "[stoi[c] for c in s]" comprehension :amount megabytes)]))

(defn letters [alphabet characters]
  "A text of so many CHARACTERS of ALPHABET, drawn by lot."
  (.join "" (.choices (Random 1337) alphabet :k characters)))

(defn start [title command]
  "-> Contest of nobody: how long COMMAND takes as a process."
  (Contest :title title :unit "start" :ours [(process "ours" command)]))

(defn one-step [bench]
  "The command that trains one step, each time into a new folder."
  (setv folders (iter (range 1,000,000)))
  (fn []
    (nanogpt-hy "train" (/ DATA "ab.txt") "--max-iters" "1" "--device" "cpu"
                "--out" (/ bench.folder f"one-step-{(next folders)}"))))

;;; All of them

(defclass [(dataclass :frozen True)] Workload []
  "What can be asked for: what it is, and functions from a Bench to a Contest. A LONG one takes
  minutes; one that NEEDS-GPU is left out where there is none."
  #^ str what
  #^ list contests
  (setv #^ bool long False
        #^ bool needs-gpu False))

(setv WORKLOADS
  {"train-toy" (Workload "steps of 3 layers, 4 heads, 32 channels, block 8, batch 32"
     [(partial training "train-toy" TOY)])
   "train-cpu" (Workload "steps of 4 layers, 4 heads, 128 channels, block 64, batch 12"
     [(partial training "train-cpu" CPU)])
   "train-big" (Workload "steps of 6 layers, 6 heads, 384, block 256, batch 64, dropout 0.2"
     [(partial training "train-big" BIG :pieces 1)] :long True)
   "train-gpu" (Workload "the same on a CUDA GPU, in bfloat16, compiled"
     [training-on-gpu] :needs-gpu True)
   "run-cpu" (Workload "all 2000 steps of train-cpu with evaluations, as processes"
     [whole-runs] :long True)
   "eval" (Workload "our whole validation part against nanoGPT's 2 x 200 random batches"
     [evaluation])
   "sample" (Workload "250 tokens of 6x384, 16 x 250 of 4x128, and 500 past block 64"
     [(fn [bench] (one-text bench (| BIG {"dropout" 0.0}) 250 "6x384: 250 tokens"))
      (fn [bench] (many-texts bench SMALL 250 16 "4x128: each of 16 x 250 tokens"))
      (fn [bench] (past-the-context bench PAST 500 "past 64: 500 tokens"))])
   "levers" (Workload "our steps and texts, without one of the ways in which they are fast"
     [(partial of-training "train-toy" TOY
        ["the written-out gradient" "a recorded step" "batches by one index"
         "cutting a flat gradient"])
      (partial of-training "train-cpu" CPU
        ["the written-out gradient" "a recorded step" "products by oneDNN" "rows for each thread"
         "batches by one index"])
      (partial of-training "train-big" BIG
        ["the written-out gradient" "products by oneDNN" "rows for each thread" "rows in parts"
         "attention in parts" "quick dropout masks"] :pieces 1)
      (partial of-sampling "6x384: 250 tokens" (| BIG {"dropout" 0.0}) 250)] :long True)
   "encode" (Workload "characters to ids: ASCII, and others"
     [(fn [bench] (encoding "encode ASCII" (letters ALPHABET 2,000,000)))
      (fn [bench] (encoding "encode Cyrillic" (letters OTHER 2,000,000)))])
   "start" (Workload "--help, and a training of one step, as processes"
     [(fn [bench] (start "start: --help" (nanogpt-hy "--help")))
      (fn [bench] (start "start: train, one step" (one-step bench)))])})
