"Who does it: we ourselves, the course, nanoGPT and transformers, for training, evaluation and
sampling.

The course's own plain model is the lecture's form: separate heads, each its three matrices, and
attention written out; so the two are one peer. It is trained as the course trains: its train-step,
its AdamW, nothing cut."

(import  functools [partial]
         importlib.util [find-spec]
         io [StringIO]
         torch
         benchmark.bench [nanogpt-hy process]
         benchmark.checkout :as checkout
         benchmark.timing [Side]
         nanogpt-hy.config [configs]
         nanogpt-hy.course [adamw draw-batch evaluate :as course-evaluate  generate train-step]
         nanogpt-hy.lab.exchange.huggingface [huggingface-config huggingface-tensors]
         nanogpt-hy.lab.sampler [sample-texts Settings tokens]
         nanogpt-hy.lab.training.session [new-run]
         nanogpt-hy.lab.training.trainer [evaluate steps]
         nanogpt-hy.ladder [build-model])

(setv COURSE "course, lecture's form"
      ENDLESS 1,000,000                ; steps: far more than are timed
      CPU     (torch.device "cpu"))

(defn model-of [bench shape stage]
  "-> a GPT of STAGE and SHAPE, in evaluation, and its GPTConfig."
  (setv [config _] (configs bench.corpus.tokenizer.vocab-size {"bias" False} shape))
  [(.eval (build-model stage config)) config])

(defn first-ids [bench [rows 1]]
  "-> (B 1): what sampling goes on from, a newline if the text has any."
  (setv tokenizer bench.corpus.tokenizer
        id (if (in "\n" tokenizer.chars) (get (.encode tokenizer "\n") 0) 0))
  (torch.full #(rows 1) id))

(defn each-time [act]
  "-> a function that calls ACT so many times."
  (fn [times]
    (for [_ (range times)]
      (act))))

;;; Training

(defn our-run [bench shape #** options]
  "-> Run: as `train` would train the model of SHAPE."
  (new-run bench.corpus :stage "fast" :preset-name "shakespeare-cpu" :max-iters ENDLESS
           #** {"device" "cpu"  "dtype" bench.dtype  #** shape #** options}))

(defn our-training [bench shape * [pieces None]]
  "-> [Side]: our steps, and compiled if that is wanted."
  (lfor  compile ["off" #* (if bench.compile ["on"] [])]
         (Side (if (= compile "on") "ours, compiled" "ours")
               (partial steps (our-run bench shape :compile compile))
               :pieces pieces)))

(defn course-trainer [bench shape [device CPU]]
  "-> a function that trains the course's GPT of SHAPE so many steps."
  (setv model     (.to (.train (get (model-of bench shape "gpt") 0)) device)
        optimizer (adamw model))
  (fn [count]
    (for [_ (range count)]
      (setv batch (draw-batch bench.corpus.train :batch-size (get shape "batch_size")
                              :block-size (get shape "block_size")))
      (with [_ (bench.precision device)]
        (setv loss (train-step model optimizer (lfor  part batch  (.to part device))))))
    (.item loss)))

(defn peers-training [bench shape * [pieces None]]
  "-> [Side]: the others' steps."
  [#* (if bench.nanogpt [(Side "nanoGPT" (checkout.trainer bench shape) :pieces pieces)] [])
   (Side COURSE (course-trainer bench shape) :pieces pieces)])

;;; Evaluation

(defn our-evaluation [bench shape]
  "-> Side: the whole validation part and as much of the training part."
  (setv run (our-run bench shape :eval-iters "all"))
  (Side "ours" (each-time (fn [] (evaluate run)))))

(defn course-evaluation [bench shape]
  "-> Side: the course's evaluate, on as many random batches as nanoGPT takes."
  (setv [model _] (model-of bench shape "gpt"))
  (defn batches [ids]
    (lfor  _ (range checkout.EVAL-ITERS)
           (draw-batch ids :batch-size (get shape "batch_size")
                       :block-size (get shape "block_size"))))
  (Side COURSE (each-time (fn []
                 (with [_ (bench.precision CPU)]
                   (for [ids [bench.corpus.train bench.corpus.val]]
                     (course-evaluate model (batches ids))))))))

(defn peers-evaluation [bench shape]
  "-> [Side]: the others' evaluations."
  [#* (if bench.nanogpt [(Side "nanoGPT" (checkout.evaluator bench shape))] [])
   (course-evaluation bench shape)])

;;; Sampling

(defn our-tokens [bench model config count * [window "exact"]]
  "-> Side: one text of COUNT tokens."
  (setv settings (Settings :window window)
        ids      (first-ids bench))
  (Side (if (= window "half") "ours, window half" "ours")
        (each-time (fn []
          (for [_ (tokens model ids count :block-size config.block-size :settings settings
                          :generator (torch.Generator))])))))

(defn our-texts [bench model config count samples]
  "-> Side: SAMPLES texts of COUNT tokens, as `sample` writes them into a file."
  (setv settings (Settings :num-samples samples :max-new-tokens count :seed 1))
  (Side "ours" (each-time (fn []
                 (sample-texts model bench.corpus.tokenizer (StringIO) :settings settings
                               :starts bench.corpus.starts :block-size config.block-size)))
        :amount samples))

(defn nanogpt-tokens [bench model shape count * [samples 1] [name "nanoGPT"]]
  "-> [Side]: nanoGPT's generate with MODEL's weights, SAMPLES texts at once; none without it."
  (if bench.nanogpt
    (do
      (setv theirs (checkout.with-weights-of bench.nanogpt model shape)
            ids    (first-ids bench samples))
      [(Side name (each-time (fn [] (.generate theirs ids count))) :amount samples)])
    []))

(defn course-tokens [bench shape count * [samples 1]]
  "-> Side: the course's generate, SAMPLES texts at once."
  (setv [model config] (model-of bench shape "gpt")
        ids            (first-ids bench samples))
  (Side (if (= samples 1) COURSE f"course, {samples} at once")
        (each-time (fn [] (generate model ids count :block-size config.block-size)))
        :amount samples))

(defn as-transformers [model config]
  "-> transformers' GPT-2 with MODEL's weights, in evaluation."
  (import transformers [GPT2Config GPT2LMHeadModel])
  (setv theirs (GPT2LMHeadModel (GPT2Config #** (huggingface-config config None))))
  (.load-state-dict theirs (huggingface-tensors (.state-dict model) config)
                    :strict False)                 ; their tied lm-head is not among ours
  (.eval theirs))

(defn transformers-tokens [bench model config count * [samples 1] [name "transformers"]]
  "-> [Side]: transformers' cached GPT-2 with MODEL's weights; none where it is not installed."
  (if (find-spec "transformers")
    (do
      (setv theirs (as-transformers model config)
            ids    (first-ids bench samples))
      [(Side name
             (each-time (fn []
               (.generate theirs ids :attention-mask (torch.ones-like ids) :do-sample True :top-k 0
                          :max-new-tokens count :use-cache True :pad-token-id 0)))
             :amount samples)])
    []))

;;; Whole runs

(defn our-whole-run [bench name #* options #** how]
  "-> Side: `train --preset shakespeare-cpu` as a process, each time into a folder of its own."
  (setv done [])
  (defn command []
    (.append done (/ bench.folder f"{name}-{(len done)}"))
    (nanogpt-hy "train" bench.corpus.path "--preset" "shakespeare-cpu" "--device" "cpu"
                "--dtype" bench.dtype "--out" (get done -1) #* options))
  (process name command #** how))

(defn nanogpt-whole-run [bench]
  "-> [Side]: nanoGPT's train.py with the same settings as a process; none without a checkout. On a
  CPU it computes in float32, whatever it is told."
  (if bench.nanogpt
    [(process "nanoGPT, float32" (checkout.whole-run) :cwd (checkout.workplace bench)
              :warmed-up False)]
    []))
