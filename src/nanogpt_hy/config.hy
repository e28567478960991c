"Every hyperparameter once: its name, default, meaning and limits. Loads no torch.

The words are nanoGPT's with hyphens; TOML and Python have them with underscores. The command
line's options are made from these two classes. A preset is a value; a variation of a config is
`(replace config :n-layer 2)`."

(eval-when-compile
  (require hyrule [unless]))
(import  dataclasses [dataclass field fields]
         difflib [get-close-matches]
         numbers [Integral Real]
         operator [ge gt le lt]
         pathlib [Path]
         sys [float-info]
         typing [Literal]
         nanogpt-hy.errors [RequestError])

(setv MOST-SIZE  1,000,000             ; of what memory has to hold: layers, channels, windows
      MOST-STEPS 1,000,000,000,000)    ; of what takes only time

(defn hyper [default help #** limits]
  "A dataclass field with its meaning and its limits, which are keys of WITHIN."
  (field :default default :metadata (dict :help help :limits limits)))

(setv WITHIN {"at_least" ge  "more_than" gt  "at_most" le  "less_than" lt})

(defn one-of [#* words]
  "The type of a field that holds one of WORDS."
  (get Literal words))

(defn option-name [name]
  "A field as the command line writes it  ; (option-name \"n_embd\") => '--n-embd'"
  (+ "--" (.replace name "_" "-")))

(defn finite [x]
  "Whether X is a number that a float can hold: neither infinite nor nan. True is none."
  (and (isinstance x Real) (not (isinstance x bool)) (<= (abs x) float-info.max)))

(defn whole [x [least 0] [most (- (** 2 63) 1)]]
  "Whether X is a whole number from LEAST to MOST, by default what 63 bits hold. True is none."
  (and (isinstance x Integral) (not (isinstance x bool)) (<= least x most)))

(defn shown [value [words str]]
  "VALUE as an error shows it, in the WORDS of str or repr: 70 characters at most."
  (try
    (setv text (words value))
    (except [ValueError]               ; Python prints no number of more than 4300 digits
      (return "a number of thousands of digits")))
  (if (> (len text) 70) (+ (cut text 67) "...") text))

(defn check-limits [config]
  "Hold CONFIG's numbers against their limits; RequestError names field, value and limit."
  (for [f (fields config)
        [limit bound] (.items (get f.metadata "limits"))]
    (setv value (getattr config f.name))
    (when (isinstance value #(int float))
      (setv endless (and (not (finite value)) (of-kind 0.5 f.type)))
      (when (or endless (not ((get WITHIN limit) value bound)))
        (raise (RequestError
          (+ f"{(option-name f.name)} is {(shown value)}: it has to be "
             (if endless "a finite number, " "") f"{(.replace limit "_" " ")} {bound :,}")))))))

(defclass [(dataclass :frozen True :kw-only True)] GPTConfig []
  "The shape of a GPT: all that its weights and what it computes with them depend on."
  (setv #^ int vocab-size
          (hyper 65 "distinct tokens; the text decides" :at-least 1 :at-most 10,000,000)
        #^ int block-size
          (hyper 8 "context length: tokens a position may look back on, itself included"
                 :at-least 1 :at-most MOST-SIZE)
        #^ int n-layer
          (hyper 3 "blocks, one upon the other" :at-least 1 :at-most MOST-SIZE)
        #^ int n-head
          (hyper 4 "heads of attention in a block" :at-least 1 :at-most MOST-SIZE)
        #^ int n-embd
          (hyper 32 "channels of a token: the width of the model" :at-least 1 :at-most MOST-SIZE)
        #^ float dropout
          (hyper 0.0 "chance of an activation to be left out while training"
                 :at-least 0 :less-than 1)
        #^ bool bias
          (hyper True "biases in linear layers and layer norms (stage fast)")
        #^ (one-of "gelu" "gelu-tanh" "relu") activation
          (hyper "gelu" "bend in the feed-forward layer (stage fast; the course's is relu)")
        #^ bool tied
          (hyper True "lm-head shares the token embedding's weights (stage fast)")
        #^ (one-of "head-size" "n-embd") scale
          (hyper "head-size" "scores are divided by the root of this (n-embd: the lecture's slip)"))

  (defn __post-init__ [self]
    (check-limits self)
    (when (% self.n-embd self.n-head)
      (setv near (* self.n-head (max 1 (round (/ self.n-embd self.n-head)))))
      (raise (RequestError (+ f"--n-embd {self.n-embd} is not divisible by --n-head {self.n-head}: "
                              f"the heads share the channels evenly, so try --n-embd {near}"))))))

(defclass [(dataclass :frozen True :kw-only True)] TrainConfig []
  "How a model is trained: all that a run depends on beside the model's shape and the text."
  (setv #^ int batch-size
          (hyper 32 "windows of block-size tokens in a batch" :at-least 1 :at-most MOST-SIZE)
        #^ int gradient-accumulation-steps
          (hyper 1 "batches whose gradients are added up for one step"
                 :at-least 1 :at-most MOST-SIZE)
        #^ int max-iters
          (hyper 5000 "training steps" :at-least 0 :at-most MOST-STEPS)
        #^ int eval-interval
          (hyper 500 "steps from one evaluation to the next" :at-least 1 :at-most MOST-STEPS)
        #^ (| int (one-of "auto" "all")) eval-iters
          (hyper "auto" "batches to evaluate a split on, or all of it; auto: all where cheap"
                 :at-least 1 :at-most MOST-STEPS)
        #^ float learning-rate
          (hyper 1e-3 "AdamW's step size, after warm-up" :more-than 0)
        #^ (| float None) min-lr
          (hyper None "step size at the end of the decay; default: a tenth of the learning rate"
                 :at-least 0)
        #^ int warmup-iters
          (hyper 0 "steps over which the step size rises from 0" :at-least 0 :at-most MOST-STEPS)
        #^ (| int None) lr-decay-iters
          (hyper None "step at which min-lr is reached; default: max-iters; 0: no decay"
                 :at-least 0 :at-most MOST-STEPS)
        #^ float weight-decay
          (hyper 0.1 "AdamW's pull of weights towards zero" :at-least 0)
        #^ (one-of "matrices" "all") decay
          (hyper "matrices" "the weights it pulls: only matrices, or biases and norms too")
        #^ float beta1
          (hyper 0.9 "AdamW's memory of past gradients" :at-least 0 :less-than 1)
        #^ float beta2
          (hyper 0.99 "AdamW's memory of their squares" :at-least 0 :less-than 1)
        #^ float grad-clip
          (hyper 1.0 "a longer gradient is cut to this length; 0: never" :at-least 0)
        #^ int patience
          (hyper 0 "stop after so many evaluations without a new best; 0: never"
                 :at-least 0 :at-most MOST-STEPS)
        #^ int seed
          (hyper 1337 "where all random draws start" :at-least 0 :at-most 0xffffffff)
        #^ str device
          (hyper "auto" "cpu, cuda, cuda:1, mps or auto")
        #^ (one-of "auto" "float32" "bfloat16" "float16") dtype
          (hyper "auto" "precision of the forward pass; the weights stay float32")
        #^ (one-of "auto" "on" "off") compile
          (hyper "auto" (+ "torch.compile the model; auto: in long runs, on a GPU, and "
                            "on a CPU of narrow models without dropout"))
        #^ bool shard
          (hyper False (+ "many processes: each keeps a part of the model, not all of it, "
                          "for models that one device cannot hold"))
        #^ bool deterministic
          (hyper False "only algorithms that always give the same bits, also on a GPU")
        #^ (one-of "auto" "torch" "normal") init
          (hyper "auto" "first weights: torch's own draws or N(0, 0.02); auto: the stage's own")
        #^ (one-of "named" "published") draws
          (hyper "named" (+ "random draws: from a generator for each purpose, "
                            "or from one in the order of the published runs")))

  (defn __post-init__ [self]
    (check-limits self)))

(setv PRESETS
  {"ab"              (dict :block-size 16 :n-layer 2 :n-head 4 :n-embd 32
                           :batch-size 32 :max-iters 2000 :eval-interval 250
                           :learning-rate 5e-3 :warmup-iters 50)
   "lecture"         (dict :block-size 8 :n-layer 3 :n-head 4 :n-embd 32 :scale "n-embd"
                           :batch-size 32 :max-iters 5000 :eval-interval 500 :eval-iters 200
                           :learning-rate 1e-3 :lr-decay-iters 0 :init "torch"
                           :weight-decay 0.01 :decay "all" :beta2 0.999 :grad-clip 0.0)
   "shakespeare-cpu" (dict :block-size 64 :n-layer 4 :n-head 4 :n-embd 128 :bias False
                           :batch-size 12 :max-iters 2000 :eval-interval 250 :eval-iters 20
                           :learning-rate 1e-3 :min-lr 1e-4 :warmup-iters 100)
   "shakespeare-gpu" (dict :block-size 256 :n-layer 6 :n-head 6 :n-embd 384 :bias False :dropout 0.2
                           :batch-size 64 :max-iters 5000 :eval-interval 250 :eval-iters 200
                           :learning-rate 1e-3 :min-lr 1e-4 :warmup-iters 100)})

(defn nearest [word words]
  "What to say of WORD, which is none of WORDS: the one most like it, or all of them."
  (setv near (get-close-matches word words 1 0.5))
  (if near
    f"did you mean {(get near 0)}?"
    f"there are {(.join ", " words)}"))

(setv FIELDS (dfor  cls [GPTConfig TrainConfig]
                    f (fields cls)  :if (!= f.name "vocab_size")
                    f.name f))

(defn of-kind [value kind]
  "Whether VALUE may stand in a field of type KIND; whole numbers serve as floats, True does not."
  (cond
    (hasattr kind "__args__") (if (is (getattr kind "__origin__" None) Literal)
                                (in value kind.__args__)
                                (any (gfor  k kind.__args__  (of-kind value k))))
    (isinstance value bool) (is kind bool)
    (is kind float) (isinstance value #(int float))
    True (isinstance value kind)))

(defn kind-name [kind]
  "The type of a field in words  ; (kind-name int) => 'a whole number'"
  (if (hasattr kind "__args__")
    (.join " or " (gfor  k kind.__args__  :if (is-not k (type None))
                         (if (isinstance k str) k (kind-name k))))
    (.get {int "a whole number"  float "a number"  bool "true or false"  str "a string"
           Path "the name of a file"}
          kind)))

(defn check-kind [source name value kind]
  "RequestError if the VALUE that SOURCE has for NAME may not stand in a field of type KIND."
  (unless (of-kind value kind)
    (raise (RequestError
      f"{source} has {name} = {(shown value repr)}: it has to be {(kind-name kind)}"))))

(defn check-keys [source values]
  "VALUES, which came from SOURCE, if they name hyperparameters and are of their kinds; else
  RequestError."
  (for [[name value] (.items values)]
    (when (= name "vocab_size")
      (raise (RequestError f"{source} has the key vocab_size: leave it out, the text decides it")))
    (when (not-in name FIELDS)
      (raise (RequestError f"{source} has the unknown key {name}: {(nearest name FIELDS)}")))
    (check-kind source name value (. FIELDS [name] type)))
  values)

(defn configs [vocab-size #* layers]
  "-> GPTConfig TrainConfig: the defaults, and over them LAYERS, dicts of underscored names."
  (setv values (dfor  layer layers  [name value] (.items layer)  name value))
  (defn part [cls]
    (dfor  f (fields cls)  :if (in f.name values)  f.name (get values f.name)))
  [(GPTConfig #** (part GPTConfig) :vocab-size vocab-size)
   (TrainConfig #** (part TrainConfig))])

(defn read-config [cls values source [way-out "update nanogpt-hy"]]
  "A CLS out of a dict that came from SOURCE and may hold anything. RequestError says what is wrong,
  and of a setting that is unknown the WAY-OUT."
  (setv known (dfor  f (fields cls)  f.name f.type))
  (for [[name value] (.items values)]
    (when (not-in name known)
      (raise (RequestError (+ f"{source} has the setting {(shown name)}, which this version does "
                              f"not know: {way-out}"))))
    (check-kind source name value (get known name)))
  (cls #** values))

(defn preset [name]
  "The values of the preset NAME, a dict; RequestError if there is none."
  (when (not-in name PRESETS)
    (raise (RequestError f"there is no preset {name}: {(nearest name PRESETS)}")))
  (get PRESETS name))
