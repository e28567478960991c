"nanoGPT (https://github.com/karpathy/nanoGPT), as a checkout of it in a folder that the user names:
its model.py is imported and its train.py started, so whoever names a folder runs what is in it.

What its train.py does around the model when it trains and evaluates is written again here, since
nothing of it can be called: batches out of the memory-mapped train.bin, drawn one step ahead, AdamW
as its model sets it up, gradients cut at 1, the loss looked at every ten steps."

(import  contextlib [redirect-stdout]
         importlib.util [module-from-spec spec-from-file-location]
         itertools [count :as counting]
         pathlib [Path]
         shutil
         sys
         numpy :as np
         torch
         nanogpt-hy.errors [RequestError])

(setv RATE        1e-3
      DECAY       0.1
      BETAS       #(0.9 0.99)
      LOOKED      10           ; steps from one look at the loss to the next: its log_interval
      EVAL-ITERS  200)         ; batches of each part that it evaluates on by default

(defclass Checkout []
  "A checkout of nanoGPT in FOLDER; RequestError if it is none."
  (defn __init__ [self folder]
    (setv self.folder (Path folder))
    (for [name ["model.py" "train.py" "config/train_shakespeare_char.py"]]
      (when (not (.is-file (/ self.folder name)))
        (raise (RequestError f"{folder} has no {name}: name a checkout of nanoGPT"))))
    (setv self.model (imported (/ self.folder "model.py"))))

  (defn build [self shape vocab-size device]
    "-> its GPT of SHAPE, on DEVICE."
    (setv sizes (dfor  [name value] (.items shape)  :if (!= name "batch_size")  name value))
    (with [_ (redirect-stdout sys.stderr)]
      (.to (self.model.GPT (self.model.GPTConfig :vocab-size vocab-size :bias False #** sizes))
           device))))

(defn imported [path]
  "The module in the file PATH, which has to have nanoGPT's GPT."
  (setv spec   (spec-from-file-location "nanogpt_model" path)
        module (module-from-spec spec))
  (setv (get sys.modules spec.name) module)
  (try
    (.exec-module spec.loader module)
    [module.GPT module.GPTConfig]
    (except [e Exception]
      (raise (RequestError (+ f"{path} cannot be imported ({(. (type e) __name__)}: {e}): "
                              "name a checkout of nanoGPT"))
             :from None)))
  module)

(defn drawn [bins part shape device]
  "-> (B T) (B T): a batch of SHAPE from a part's file, one window after the other."
  (setv ids    (np.memmap (/ bins f"{part}.bin") :dtype np.uint16 :mode "r")
        T      (get shape "block_size")
        starts (torch.randint (- (len ids) T) #((get shape "batch_size"))))
  (defn stacked [starts]
    (torch.stack (lfor  i starts  (torch.from-numpy (.astype (cut ids i (+ i T)) np.int64)))))
  (setv batch [(stacked starts) (stacked (+ starts 1))])
  (if (= device.type "cuda")
    (lfor  part batch  (.to (.pin-memory part) device :non-blocking True))
    batch))

(defn trainer [bench shape * [device (torch.device "cpu")] [compile False]]
  "-> a function that trains so many steps, as train.py does."
  (setv bins      (/ bench.folder "bins")
        model     (.build bench.nanogpt shape bench.corpus.tokenizer.vocab-size device)
        optimizer (with [_ (redirect-stdout sys.stderr)]
                    (.configure-optimizers model DECAY RATE BETAS device.type))
        forward   (if compile (torch.compile model) model)
        numbers   (counting 1)
        batch     (drawn bins "train" shape device))
  (defn step []
    (nonlocal batch)
    (for [group optimizer.param-groups]
      (setv (get group "lr") RATE))
    (with [_ (bench.precision device)]
      (setv [_ loss] (forward #* batch)))
    (setv batch (drawn bins "train" shape device))     ; while a GPU is still busy
    (.backward loss)
    (torch.nn.utils.clip-grad-norm_ (.parameters model) 1.0)
    (.step optimizer)
    (.zero-grad optimizer :set-to-none True)
    (when (= 0 (% (next numbers) LOOKED))
      (.item loss))
    loss)
  (fn [steps]
    (for [_ (range steps)]
      (setv loss (step)))
    (.item loss)))                                     ; a GPU is not done before

(defn [(torch.no-grad)] mean-loss [model bins part shape]
  "The mean loss on EVAL-ITERS random batches of a part, each brought home by itself."
  (setv losses [])
  (for [_ (range EVAL-ITERS)]
    (setv [_ loss] (model #* (drawn bins part shape (torch.device "cpu"))))
    (.append losses (.item loss)))
  (/ (sum losses) EVAL-ITERS))

(defn evaluator [bench shape]
  "-> a function that evaluates so many times, as its estimate_loss does."
  (setv bins  (/ bench.folder "bins")
        cpu   (torch.device "cpu")
        model (.build bench.nanogpt shape bench.corpus.tokenizer.vocab-size cpu))
  (fn [times]
    (for [_ (range times)]
      (.eval model)
      (with [_ (bench.precision cpu)]
        (for [part ["train" "val"]]
          (mean-loss model bins part shape)))
      (.train model))))

(defn with-weights-of [checkout ours shape]
  "-> its GPT of SHAPE in evaluation, with the weights of OURS, a FastGPT."
  (setv weights (.state-dict ours)
        model   (.build checkout shape (len (get weights "lm_head.weight")) (torch.device "cpu")))
  (.load-state-dict model weights)
  (.eval model))

(defn workplace [bench]
  "-> a folder in which train.py can be started: its programs, its configs, and our text's files.
  Nothing is written into the checkout."
  (setv folder (/ bench.folder "nanogpt"))
  (.mkdir folder)
  (for [path (.glob bench.nanogpt.folder "*.py")]
    (shutil.copy path folder))
  (shutil.copytree (/ bench.nanogpt.folder "config") (/ folder "config"))
  (shutil.copytree (/ bench.folder "bins") (/ folder "data" "shakespeare_char"))
  folder)

(defn whole-run []
  "The command by which its README trains on a CPU."
  [sys.executable "train.py" "config/train_shakespeare_char.py" "--device=cpu" "--compile=False"
   "--eval_iters=20" "--log_interval=10" "--block_size=64" "--batch_size=12" "--n_layer=4"
   "--n_head=4" "--n_embd=128" "--max_iters=2000" "--lr_decay_iters=2000" "--dropout=0.0"])
