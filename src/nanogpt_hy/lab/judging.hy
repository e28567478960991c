"`nanogpt-hy eval`: how well a trained model predicts the whole validation part of a text."

(eval-when-compile
  (require hyrule [unless]))
(import  json
         math [exp log]
         os
         time [perf-counter]
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.lab.checkpoints.trained [open-model]
         nanogpt-hy.lab.console [console progress-bar]
         nanogpt-hy.lab.data.corpus [check-block-size read-corpus]
         nanogpt-hy.lab.training.device [choose-device]
         nanogpt-hy.lab.training.evaluation [all-of by-line floor-here loss-floor mean-loss])

(setv HOPELESS 700)      ; nats: of more, and of what is no number, the perplexity is none

(defn judged-text [trained text]
  "-> Corpus: the file TEXT, or the one that TRAINED was trained on."
  (setv data (get trained.meta "data")
        path (or text (.get data "path")))
  (unless (and path (isinstance path str))
    (raise (RequestError (+ f"{trained.path} does not say on what it was trained: "
                            "name a text, or another --ckpt"))))
  (unless (os.path.exists path)
    (setv which (if text "" f", on which {trained.path} was trained"))
    (raise (RequestError f"there is no file {path}{which}: name a text")))
  (setv corpus (read-corpus path :tokenizer trained.tokenizer))
  (when (and (not text) (!= corpus.sha256 (.get data "sha256")))
    (.print (console) f"{path} has changed since {trained.path} was trained on it"))
  (check-block-size corpus 1)
  corpus)

(defn counted [batches told]
  "((B T) (B T))... -> the same; TOLD hears of how many targets each has had."
  (for [[x y] batches]
    (yield [x y])
    (told (.numel y))))

(defn measures [trained corpus device]
  "-> dict: how well TRAINED predicts the whole validation part of CORPUS."
  (setv started (perf-counter)
        block-size trained.config.block-size
        batches (all-of corpus corpus.val block-size :device device)
        [loss _] (with [told (progress-bar "evaluating" (len corpus.val))]
                   (mean-loss trained.model (counted batches told) :device device))
        per-character (* loss (/ (len corpus.val) corpus.val-characters)))
  (unless (< loss HOPELESS)
    (raise (WorkError (+ f"{trained.path} loses {loss :.4g} nats per token, so its training went "
                         "wrong: use another checkpoint"))))
  {"checkpoint" (str trained.path)  "text" corpus.path  "step" (get trained.meta "step")
   "tokens" (- (len corpus.val) (if (by-line corpus block-size) 0 1))     ; nobody guesses the first
   "loss" loss  "bits_per_character" (/ per-character (log 2))
   "perplexity" (exp loss)  "floor" (loss-floor corpus block-size)
   "floor_here" (floor-here corpus block-size)
   "seconds" (round (- (perf-counter) started) 3)})

(defn window-line [losses]
  "What `window-losses` found, in a line."
  (setv error (get losses "error"))
  (+ f"windows     {(get losses "exact") :.4f} past the context, "
     f"{(get losses "half") :.4f} with --window half: "
     f"{(- (get losses "half") (get losses "exact")) :+.4f}"
     (if (is error None) "" f" (standard error {error :.4f})")
     f", over {(get losses "tokens") :,} tokens"))

(defn evaluate [* text ckpt device windows as-json]
  "`nanogpt-hy eval`: print the loss over the whole validation part, and with WINDOWS what windows
  cost in sampling; -> exit code."
  (setv device (get (choose-device device) 0)
        trained (open-model ckpt :device device)
        corpus (judged-text trained (when text (str text)))
        found (measures trained corpus device))
  (when windows
    (import nanogpt-hy.lab.inside.losses [window-losses])
    (with [told (progress-bar "with both windows" 1)]
      (setv (get found "windows") (window-losses trained.model corpus.val
                                                 trained.config.block-size :told told))))
  (if as-json
    (print (json.dumps found))
    (do
      (print f"{(get found "checkpoint")} (step {(get found "step") :,}) on {(get found "text")}")
      (print f"loss        {(get found "loss") :.4f} nats per token, "
             f"over {(get found "tokens") :,} validation tokens" :sep "")
      (print f"            {(get found "bits_per_character") :.4f} bits per character")
      (print f"perplexity  {(get found "perplexity") :.4f}")
      (unless (is (get found "floor") None)
        (setv here (get found "floor_here"))
        (print f"floor       {(get found "floor") :.4f} is what the text's chain leaves to chance"
               (if (is-not here None) f"; in this validation part {here :.4f}" "") :sep ""))
      (when windows
        (print (window-line (get found "windows"))))))
  0)
