"`nanogpt-hy inspect`: what is asked about a model, found out as plain data, and shown: in the
terminal, as JSON, as a picture, as DOT, or all together on one HTML page."

(eval-when-compile
  (require hyrule [unless]))
(import  itertools [pairwise]
         json
         sys
         torch
         nanogpt-hy.errors [RequestError UserError]
         nanogpt-hy.lab.checkpoints.trained [open-model]
         nanogpt-hy.lab.console [plain-console]
         nanogpt-hy.lab.data.chain-files [read-chain]
         nanogpt-hy.lab.files [check-pictures write-atomic]
         nanogpt-hy.lab.inside.attention [attention]
         nanogpt-hy.lab.inside.baby [baby-gpt CONFIG FLOOR TEXT]
         nanogpt-hy.lab.inside.losses [loss-by-position loss-curve]
         nanogpt-hy.lab.inside.machine [dot machine]
         nanogpt-hy.lab.inside.outlook [embeddings next-characters]
         nanogpt-hy.lab.inside.truth [truth]
         nanogpt-hy.lab.judging [judged-text]
         nanogpt-hy.lab.pictures.tables [show-machine show-truth]
         nanogpt-hy.lab.pictures.terminal [show-attention show-embeddings show-loss show-next
                                           show-positions])

(setv SHOWN     16        ; tokens of the prompt, where none is given
      LOOKED-AT 2000)     ; tokens among which it is looked for

(setv SHOWERS {"attention" show-attention  "next" show-next  "positions" show-positions
               "loss" show-loss  "embeddings" show-embeddings  "chain" show-machine
               "truth" show-truth})

;; Which options belong to which kinds; all others belong to every kind.
(setv OPTIONS {"prompt"      ["attention" "next"]
               "layer"       ["attention"]
               "head"        ["attention"]
               "by_hand"     ["attention"]
               "temperature" ["next"]
               "top_k"       ["next"]
               "top_p"       ["next"]
               "tolerance"   ["chain"]
               "dot"         ["chain"]
               "chain"       ["truth"]
               "text"        ["positions" "loss" "truth"]})

(defn check-options [what given]
  "RequestError if GIVEN, names of options, do not all belong to WHAT; a page has room for all."
  (for [name given]
    (setv kinds (.get OPTIONS name [what]))
    (unless (or (in what kinds) (in "html" given))
      (raise (RequestError (+ f"--{(.replace name "_" "-")} has no meaning for inspect {what}: it "
                              f"belongs to inspect {(.join " or " kinds)}"))))))

;;; Finding out

(defn prompt-of [trained prompt]
  "The PROMPT, or a piece of the text's validation part."
  (when (is-not prompt None)
    (return prompt))
  (try
    (setv corpus (judged-text trained None))
    (except [e UserError]
      (raise (RequestError "there is no text to take a prompt from: give one, --prompt TEXT")
             :from e)))
  (setv ids (torch.cat [(cut corpus.train -1 None) (cut corpus.val LOOKED-AT)]))
  (.decode trained.tokenizer (eventful ids (min SHOWN trained.config.block-size))))

(defn eventful [ids length]
  "(N) -> ids: of the windows that begin as the first one does, the one with the most different
  pairs in it; of equals the first."
  (setv ids (.tolist ids)
        windows (gfor  start (range (max 1 (- (+ (len ids) 1) length)))
                       :if (= (get ids start) (get ids 0))       ; alike, so that lines stay whole
                       (cut ids start (+ start length))))
  (max windows :key (fn [w] (len (set (pairwise w))))))

(defn if-there [text request]
  "What the function TEXT gives, or None where no text is asked for and that of the run is gone."
  (try
    (text)
    (except [e UserError]
      (when (in "text" request)
        (raise))
      None)))

(defn find-out [what trained request]
  "-> dict: the plain data of the kind WHAT."
  (setv option (fn [#* names] (dfor  n names  :if (in n request)  n (get request n)))
        prompt (fn [] (prompt-of trained (.get request "prompt")))
        text   (fn [] (judged-text trained (.get request "text"))))
  (match what
    "attention"  (attention trained (prompt) #** (option "layer" "head"))
    "next"       (next-characters trained (prompt) #** (option "temperature" "top_k" "top_p"))
    "positions"  (loss-by-position trained (text))
    "loss"       (loss-curve (if (.exists trained.path) trained.path.parent trained.path)
                             :text (if-there text request))
    "embeddings" (embeddings trained)
    "chain"      (machine trained #** (option "tolerance"))
    "truth"      (truth trained #** (if (in "chain" request)
                                      {"chain" (read-chain (get request "chain"))}
                                      {"text" (text)}))))

(defn all-that-can [what trained request]
  "-> [dict], [str]: the data of every kind, and why some could not be had. UserError if WHAT
  could not."
  (setv found [] missing [])
  (for [kind SHOWERS]
    (try
      (.append found (find-out kind trained request))
      (except [e UserError]
        (when (= kind what)
          (raise))
        (.append missing f"There is no picture for {kind} here: {e}."))))
  [found missing])

;;; Showing

(defn show-data [data [console None]]
  "plain data -> None: print its picture."
  ((get SHOWERS (get data "kind")) data (or console (plain-console))))

(defn write-page [path what trained request]
  "The page of all that can be found out about TRAINED, in the file PATH."
  (import nanogpt-hy.lab.pictures.page [page-of])
  (setv [found missing] (all-that-can what trained request)
        c trained.config
        meta trained.meta)
  (write-atomic path
    (page-of found :title f"Inside {trained.path}" :missing missing
             :about (+ f"stage {(get meta "stage")}, step {(get meta "step") :,}: "
                       f"{c.n-layer} layers, {c.n-head} heads, {c.n-embd} channels, "
                       f"context {c.block-size}, "
                       f"{trained.tokenizer.vocab-size :,} tokens"))))

(defn write-picture [path data]
  "The picture of DATA in the file PATH."
  (import nanogpt-hy.lab.pictures.figures [figure-of]
          nanogpt-hy.lab.pictures.plots [save-figure])
  (save-figure (figure-of data) path))

(defn opened [ckpt baby]
  "-> Trained: the checkpoint's, or a baby GPT, just trained."
  (unless baby
    (return (open-model ckpt)))
  (when ckpt
    (raise (RequestError "--baby trains a model of its own: leave out --ckpt, or --baby")))
  (setv [trained losses] (baby-gpt :steps 300))
  (print (+ f"trained for {(len losses)} steps: the loss went from {(get losses 0) :.4f} to "
            f"{(get losses -1) :.4f}\n(on its twelve windows it cannot go below {FLOOR :.4f})")
         :file sys.stderr)
  trained)

(defn inspect [what * [ckpt None] [baby False] [as-json False] [png None] [svg None] [html None]
               #** options]
  "`nanogpt-hy inspect WHAT`: -> exit code. OPTIONS: see OPTIONS; None is as if left out. A page has
  all that can be shown, whatever WHAT is."
  (setv request (dfor  [k v] (.items options)  :if (not (or (is v None) (is v False)))  k v)
        files (dfor  [k v] [["png" png] ["svg" svg] ["html" html]]  :if v  k v))
  (unless what
    (when (or as-json (!= (list files) ["html"]))
      (raise (RequestError (+ f"inspect needs WHAT, one of {(.join ", " SHOWERS)}: "
                              "only --html has room for all"))))
    (setv what "attention"))
  (check-options what [#* request #* files])
  (when (and (in "by_hand" request) (or as-json files (in "dot" request)))
    (raise (RequestError (+ "--by-hand prints tables and writes no file and no JSON: leave it out, "
                            "or leave those out"))))
  (check-pictures {#** files  "dot" (.get request "dot")})
  (when (and baby (= what "loss"))
    (raise (RequestError (+ "--baby trains a model that keeps no curves: look at its loss without "
                            "it, or at something else of it"))))
  (setv trained (opened ckpt baby))
  (when baby
    (.setdefault request "prompt" (cut TEXT CONFIG.block-size)))
  (when (in "by_hand" request)
    (return (by-hand trained request)))
  (when html
    (write-page html what trained request))
  (setv data (when (or as-json png svg (in "dot" request) (not html))
               (find-out what trained request)))
  (for [path (filter None [png svg])]
    (write-picture path data))
  (when (in "dot" request)
    (write-atomic (get request "dot")
                  (dot (if (= what "chain") data (find-out "chain" trained request)))))
  (cond
    as-json (print (json.dumps data))
    (or files (in "dot" request))
      (for [path [#* (.values files) #* (filter None [(.get request "dot")])]]
        (print f"wrote {path}" :file sys.stderr))
    True (show-data data))
  0)

(defn by-hand [trained request]
  "`--by-hand`: one head in tables, to be checked with a pencil."
  (import nanogpt-hy.lab.inside.by-hand [attention-by-hand])
  (attention-by-hand trained (if (in "prompt" request)
                               (get request "prompt")
                               (cut (prompt-of trained None) 4))
                     :layer (.get request "layer" 1) :head (.get request "head" 1)
                     :console (plain-console))
  0)
